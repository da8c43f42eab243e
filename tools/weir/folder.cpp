// Finding a file, and staying inside.
#include "tools/weir/folder.hpp"

#include "tools/weir/http.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace program {

namespace {

namespace fs = std::filesystem;

int status_of(const std::error_code& error) noexcept {
  if (error == std::errc::permission_denied) {
    return 403;
  }
  const bool is_shortage = error == std::errc::too_many_files_open ||
                           error == std::errc::too_many_files_open_in_system ||
                           error == std::errc::not_enough_memory;
  return is_shortage ? 503 : 404;
}

bool is_inside(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

Found open(const fs::path& path) {
  Found found;
  try {
    found.file = weir::File::open(path.native());
    found.size = found.file.size();
  } catch (const std::system_error& error) {
    found.status = status_of(error.code());
    return found;
  }
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  if (error) {
    found.status = status_of(error);
    return found;
  }
  found.modified = std::chrono::floor<std::chrono::seconds>(std::chrono::file_clock::to_sys(written));
  found.type = content_type_of(path.native());
  return found;
}

}  // namespace

Folder::Folder(const std::string& path) : root_(fs::canonical(path)) {
  if (!fs::is_directory(root_)) {
    throw std::system_error(std::make_error_code(std::errc::not_a_directory), path);
  }
}

Found Folder::find(const std::string& path) const {
  std::error_code error;
  fs::path place = fs::canonical(root_.native() + path, error);
  if (error || !is_inside(place, root_)) {
    return {.status = error ? status_of(error) : 404};
  }
  if (fs::is_directory(place, error)) {
    if (!path.ends_with('/')) {
      return {.status = 301};
    }
    place = fs::canonical(place / "index.html", error);
    if (error || !is_inside(place, root_)) {
      return {.status = error ? status_of(error) : 404};
    }
  } else if (path.ends_with('/')) {
    return {.status = 404};
  }
  // No device and no pipe, whose opening could wait for ever.
  return fs::is_regular_file(place, error) ? open(place) : Found{.status = error ? status_of(error) : 404};
}

}  // namespace program

// Finding a file, and staying inside.
#include "tools/weir/folder.hpp"

#include "tools/weir/host.hpp"
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

// `path` is relative to the root.
Opened open_inside(const fs::path& root, const weir::File& folder, const std::string& path) {
  Opened found = open_beneath(folder, path);
  if (found.error != std::errc::function_not_supported) {
    return found;
  }
  std::error_code error;
  const fs::path place = fs::canonical(root / path, error);
  if (error) {
    return {.error = error};
  }
  return is_inside(place, root) ? open_file(place.string())
                                : Opened{.error = std::make_error_code(std::errc::no_such_file_or_directory)};
}

}  // namespace

Folder::Folder(const std::string& path) : root_(fs::canonical(path)), folder_(open_folder(root_.string())) {}

Found Folder::find(const std::string& path) const {
  const bool is_folder = path.ends_with('/');
  const std::string relative = path.substr(std::min(path.find_first_not_of('/'), path.size()));
  Opened opened = open_inside(root_, folder_, is_folder ? relative + "index.html" : relative);
  if (!opened.error && opened.is_folder && !is_folder) {
    return {.status = 301};
  }
  // No device and no pipe.
  if (opened.error || !opened.is_regular) {
    return {.status = opened.error ? status_of(opened.error) : 404};
  }
  Found found;
  found.file = std::move(opened.file);
  found.size = opened.size;
  found.modified = opened.modified;
  found.type = content_type_of(is_folder ? "index.html" : std::string_view(path));
  return found;
}

}  // namespace program

// `weir cert`: a local authority in a folder, and certificates of hosts that it vouches for.
#include "tools/weir/certificates.hpp"
#include "tools/weir/host.hpp"
#include "tools/weir/verbs.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <span>
#include <stdexcept>
#include <system_error>

namespace program {

namespace {

constexpr std::chrono::hours ten_years{24 * 3652};

std::string read_text(const std::string& path) {
  const Opened opened = open_file(path);
  if (opened.error) {
    throw std::system_error(opened.error, path);
  }
  std::string text(opened.size, '\0');
  text.resize(opened.file.read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

// The two files of an identity.
struct Files {
  std::string certificate;
  std::string key;

  bool exists() const { return std::filesystem::exists(certificate) || std::filesystem::exists(key); }
  void remove() const {
    std::filesystem::remove(certificate);
    std::filesystem::remove(key);
  }
  void write(const Identity& identity) const {
    write_new_file(key, identity.key, Readers::owner);
    write_new_file(certificate, identity.certificate, Readers::all);
    std::printf("wrote %s and %s\n", certificate.c_str(), key.c_str());
  }
};

// No file has a colon in its name where there is Windows, nor a star.
Files files_of(const CertPlan& plan, std::string name) {
  const auto is_special = [](char c) { return c == ':' || c == '*' || c == '%'; };
  std::replace_if(name.begin(), name.end(), is_special, '_');
  const std::string path = (std::filesystem::path(plan.folder) / name).string();
  return {path + ".pem", path + "-key.pem"};
}

Identity authority(const CertPlan& plan, const Files& files) {
  if (files.exists()) {
    return {read_text(files.certificate), read_text(files.key)};
  }
  CertificateRequest request;
  request.common_name = plan.authority_name;
  request.is_authority = true;
  request.key = KeyKind::p256;
  request.valid_to = ten_years;
  Identity made = make_certificate(request, nullptr);
  files.write(made);
  return made;
}

CertificateRequest request_of(const CertPlan& plan, const std::vector<std::string>& names) {
  CertificateRequest request;
  request.common_name = names.front();
  request.names = names;
  request.valid_to = plan.valid_for;
  request.key = KeyKind::p256;
  return request;
}

void print_use(const Files& first, const Files& authority_files, const std::string& host) {
  const std::string shown = host.find(':') == std::string::npos ? host : '[' + host + ']';
  std::printf(
      "use them with\n  weir echo tls://%s:8443 --cert %s --key %s\n  weir connect tls://%s:8443 --cafile "
      "%s\n",
      shown.c_str(), first.certificate.c_str(), first.key.c_str(), shown.c_str(),
      authority_files.certificate.c_str());
}

}  // namespace

int cert(const CertPlan& plan) {
  std::filesystem::create_directories(plan.folder);
  std::vector<Files> files;
  for (const std::vector<std::string>& names : plan.hosts) {
    files.push_back(files_of(plan, names.front()));
    if (files.back().exists() && !plan.force) {
      throw std::runtime_error(files.back().certificate + " is there already; --force replaces it");
    }
  }
  const Files authority_files = files_of(plan, "ca");
  const Identity issuer = authority(plan, authority_files);
  for (std::size_t i = 0; i != files.size(); ++i) {
    const Identity made = make_certificate(request_of(plan, plan.hosts[i]), &issuer);
    files[i].remove();
    files[i].write(made);
  }
  print_use(files.front(), authority_files, plan.hosts.front().front());
  return 0;
}

}  // namespace program

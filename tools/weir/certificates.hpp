// Making certificates: an authority, and what it vouches for. For tests and trials, by OpenSSL's API.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace program {

// Ed25519 signatures have one size, so that a session is as long as the last one; P-256 is what browsers
// know.
enum class KeyKind : bool { ed25519, p256 };

// A certificate and its key, both in PEM.
struct Identity {
  std::string certificate;
  std::string key;
};

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> names = {};                       // host names and IP addresses that it is for
  bool is_authority = false;                                 // may it vouch for others?
  std::chrono::seconds valid_from = std::chrono::hours(-1);  // from now
  std::chrono::seconds valid_to = std::chrono::hours(24 * 365);
  KeyKind key = KeyKind::ed25519;
};

// Signed by `issuer`, or by itself when that is null. Throws std::runtime_error with what OpenSSL says, and
// for an issuer that is no identity, or whose key is another certificate's.
Identity make_certificate(const CertificateRequest& request, const Identity* issuer);

// A revocation list of the issuer, in PEM, that names these certificates. Throws as make_certificate.
std::string make_revocation_list(const Identity& issuer, const std::vector<std::string>& revoked);

}  // namespace program

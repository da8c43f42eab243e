// Making certificates, by OpenSSL's API.
#include "tools/weir/certificates.hpp"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string_view>

namespace program {

namespace {

template <auto function>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    function(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freed<&BIO_vfree>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<&X509_free>>;
using ListPtr = std::unique_ptr<X509_CRL, Freed<&X509_CRL_free>>;

constexpr int serial_bits = 127;  // at most 20 octets, and positive

[[noreturn]] void fail(const char* what) {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* const reason = error != 0 ? ERR_reason_error_string(error) : nullptr;
  throw std::runtime_error(std::string(what) + (reason != nullptr ? std::string(": ") + reason : ""));
}

void check(bool succeeded, const char* what) {
  if (!succeeded) {
    fail(what);
  }
}

template <class Pointer>
Pointer checked(Pointer pointer, const char* what) {
  check(pointer != nullptr, what);
  return pointer;
}

BioPtr reading(const std::string& text) {
  return checked(BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))), "memory");
}
CertificatePtr parse_certificate(const std::string& pem) {
  return checked(CertificatePtr(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr)),
                 "not a certificate");
}
KeyPtr parse_key(const std::string& pem) {
  return checked(KeyPtr(PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, nullptr, nullptr)), "not a key");
}

// The text that `write` puts into a BIO.
template <class Write>
std::string written(Write write) {
  const BioPtr bio = checked(BioPtr(BIO_new(BIO_s_mem())), "memory");
  check(write(bio.get()) == 1, "writing PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

KeyPtr make_key(KeyKind kind) {
  return checked(KeyPtr(kind == KeyKind::p256 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")
                                              : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")),
                 "making a key");
}

// What is signed by this key is hashed by, where that is not a part of signing.
const EVP_MD* digest_for(const EVP_PKEY& key) {
  return EVP_PKEY_is_a(&key, "ED25519") == 1 ? nullptr : EVP_sha256();
}

void set_random_serial(X509& certificate) {
  const std::unique_ptr<BIGNUM, Freed<&BN_free>> number(BN_new());
  check(number != nullptr && BN_rand(number.get(), serial_bits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
            BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) != nullptr,
        "serial number");
}

void set_name(X509& certificate, const std::string& common_name) {
  check(X509_NAME_add_entry_by_txt(X509_get_subject_name(&certificate), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(common_name.data()),
                                   static_cast<int>(common_name.size()), -1, 0) == 1,
        "the name");
}

bool is_address(const std::string& name) {
  const std::unique_ptr<ASN1_OCTET_STRING, Freed<&ASN1_OCTET_STRING_free>> address(
      a2i_IPADDRESS(name.c_str()));
  ERR_clear_error();
  return address != nullptr;
}

void add_extension(X509& certificate, X509V3_CTX& context, int kind, const std::string& value) {
  const std::unique_ptr<X509_EXTENSION, Freed<&X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  check(extension != nullptr && X509_add_ext(&certificate, extension.get(), -1) == 1, value.c_str());
}

void add_extensions(X509& certificate, X509& issuer, const CertificateRequest& request) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  add_extension(certificate, context, NID_subject_key_identifier, "hash");
  if (request.is_authority) {
    add_extension(certificate, context, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, context, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    add_extension(certificate, context, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(certificate, context, NID_key_usage, "critical,digitalSignature");
    add_extension(certificate, context, NID_ext_key_usage, "serverAuth,clientAuth");
  }
  if (&issuer != &certificate) {
    add_extension(certificate, context, NID_authority_key_identifier, "keyid:always");
  }
  std::string names;
  for (const std::string& name : request.names) {
    names += names.empty() ? "" : ",";
    names += is_address(name) ? "IP:" : "DNS:";
    names += name;
  }
  if (!names.empty()) {
    add_extension(certificate, context, NID_subject_alt_name, names);
  }
}

}  // namespace

Identity make_certificate(const CertificateRequest& request, const Identity* issuer) {
  ERR_clear_error();
  const KeyPtr key = make_key(request.key);
  const CertificatePtr made = checked(CertificatePtr(X509_new()), "memory");
  const CertificatePtr issuer_certificate =
      issuer != nullptr ? parse_certificate(issuer->certificate) : nullptr;
  const KeyPtr issuer_key = issuer != nullptr ? parse_key(issuer->key) : nullptr;
  check(issuer == nullptr || X509_check_private_key(issuer_certificate.get(), issuer_key.get()) == 1,
        "the issuer's key");
  X509& signer = issuer_certificate != nullptr ? *issuer_certificate : *made;
  check(X509_set_version(made.get(), 2) == 1, "the version");
  set_random_serial(*made);
  set_name(*made, request.common_name);
  check(X509_set_issuer_name(made.get(), X509_get_subject_name(&signer)) == 1 &&
            X509_gmtime_adj(X509_getm_notBefore(made.get()), static_cast<long>(request.valid_from.count())) &&
            X509_gmtime_adj(X509_getm_notAfter(made.get()), static_cast<long>(request.valid_to.count())) &&
            X509_set_pubkey(made.get(), key.get()) == 1,
        "the certificate");
  add_extensions(*made, signer, request);
  EVP_PKEY& signing_key = issuer_key != nullptr ? *issuer_key : *key;
  check(X509_sign(made.get(), &signing_key, digest_for(signing_key)) != 0, "signing");
  return {written([&made](BIO* bio) { return PEM_write_bio_X509(bio, made.get()); }),
          written([&key](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

std::string make_revocation_list(const Identity& issuer, const std::vector<std::string>& revoked) {
  ERR_clear_error();
  const CertificatePtr certificate = parse_certificate(issuer.certificate);
  const KeyPtr key = parse_key(issuer.key);
  const ListPtr list = checked(ListPtr(X509_CRL_new()), "memory");
  const std::unique_ptr<ASN1_TIME, Freed<&ASN1_TIME_free>> before(X509_gmtime_adj(nullptr, -3600));
  const std::unique_ptr<ASN1_TIME, Freed<&ASN1_TIME_free>> after(X509_gmtime_adj(nullptr, 24L * 3600));
  check(X509_CRL_set_version(list.get(), 1) == 1 &&
            X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate.get())) == 1 &&
            X509_CRL_set1_lastUpdate(list.get(), before.get()) == 1 &&
            X509_CRL_set1_nextUpdate(list.get(), after.get()) == 1,
        "the revocation list");
  for (const std::string& pem : revoked) {
    const CertificatePtr one = parse_certificate(pem);
    std::unique_ptr<X509_REVOKED, Freed<&X509_REVOKED_free>> entry(X509_REVOKED_new());
    check(entry != nullptr &&
              X509_REVOKED_set_serialNumber(entry.get(), X509_get_serialNumber(one.get())) == 1 &&
              X509_REVOKED_set_revocationDate(entry.get(), before.get()) == 1 &&
              X509_CRL_add0_revoked(list.get(), entry.get()) == 1,
          "the revocation list");
    static_cast<void>(entry.release());
  }
  check(X509_CRL_sign(list.get(), key.get(), digest_for(*key)) != 0, "signing");
  return written([&list](BIO* bio) { return PEM_write_bio_X509_CRL(bio, list.get()); });
}

}  // namespace program

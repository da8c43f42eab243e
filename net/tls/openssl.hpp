// Owners of OpenSSL's objects.
#pragma once

#include <weir/config.hpp>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <new>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

template <auto function>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    function(object);
  }
};

using SslCtxPtr = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<&SSL_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, Freed<&SSL_SESSION_free>>;
using BioPtr = std::unique_ptr<BIO, Freed<&BIO_vfree>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<&X509_free>>;

// Of what OpenSSL only fails to make when there is no memory.
template <class Pointer>
Pointer checked(Pointer pointer) {
  if (pointer == nullptr) {
    throw std::bad_alloc();
  }
  return pointer;
}

// A view of text that OpenSSL reads; the text must stay.
inline BioPtr text_bio(std::string_view text) {
  return checked(BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))));
}

}  // namespace weir::inline WEIR_ABI::detail

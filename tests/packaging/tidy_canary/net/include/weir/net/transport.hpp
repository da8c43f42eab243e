// A transport may be virtual; OpenSSL may not be here, and this line is much too long for a file that people read side by side. expect: columns
#pragma once

#include <openssl/ssl.h> // expect: third-party-header

struct Transport {
  virtual ~Transport();
};

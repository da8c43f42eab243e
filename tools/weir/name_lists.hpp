// Lists of names on the command line: the protocols that ALPN offers, and whom a certificate is for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace program {

// Reads "h2,http/1.1". Throws std::invalid_argument with what is wrong.
std::vector<std::string> parse_protocols(std::string_view text);

// Reads "localhost,127.0.0.1,::1": host names, which may begin with "*.", and IP addresses. The first names
// the files of the certificate, so that it may not be taken for another one's key or the authority. Throws
// std::invalid_argument with what is wrong.
std::vector<std::string> parse_hosts(std::string_view text);

}  // namespace program

// TLS for the verbs: what the command line says about it, and the settings that are made of that.
#pragma once

#include <weir/fwd.hpp>

#include <memory>
#include <string>
#include <vector>

namespace program {

inline constexpr const char* built_without_tls =
    "this weir was built without TLS: configure it with -Dtls=true";

// Of the verbs that listen.
struct ListeningTls {
  std::string certificate = {};         // files, as all of them
  std::string key = {};                 // of it
  std::string client_authorities = {};  // who vouches for clients; empty: they need no certificate
  std::vector<std::string> protocols = {};
};

// Of the verbs that connect.
struct ConnectingTls {
  std::string authorities = {};  // empty: those of the system
  std::string certificate = {};  // empty: none is shown
  std::string key = {};
  std::vector<std::string> protocols = {};
  bool insecure = false;  // verify nothing
  bool verbose = false;   // tell what was agreed on
};

// Null where there is no TLS.
using TlsSettings = std::shared_ptr<const weir::SSLContext>;

// Throws std::system_error that names the file that is of no use.
TlsSettings listening_settings(const ListeningTls& tls);
// The same; warns on stderr, in the name of the verb, when nothing will be verified.
TlsSettings connecting_settings(const ConnectingTls& tls, const char* verb);

// One line on stderr about the TLS of a connection, in the name of the verb.
void tell_tls(const weir::Transport& transport, const char* verb);

}  // namespace program

// The command line, in CLI11's terms.
#include "tools/weir/command_line.hpp"

#include "tools/weir/duration_text.hpp"
#include "tools/weir/name_lists.hpp"

#include <CLI/CLI.hpp>
#include <weir/version.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace program {

namespace {

constexpr std::array<std::string_view, 10> verb_names{"echo", "discard", "relay", "serve", "connect",
                                                      "ping", "resolve", "exec",  "cert",  "info"};

constexpr const char* listen_help = "Where to listen, such as tcp://127.0.0.1:8888 or unix:///run/echo";
constexpr const char* server_footer =
    "Addresses are tcp://127.0.0.1:8888, tcp://[::1]:8888 or tcp://localhost:8888;\n"
    "tcp://0.0.0.0:8888 and tcp://[::]:8888 are all interfaces. Port 0 takes a free one.\n"
    "tls://127.0.0.1:8888 is TLS; it needs --cert and --key, which weir cert makes for trials.\n"
    "unix://PATH is a Unix socket, unix://@NAME one of Linux's abstract names; echo, discard and\n"
    "relay also serve udp://127.0.0.1:8888. Each bound address is printed as one line on stdout.\n"
    "It runs until Ctrl-C, which ends it cleanly with exit status 130. Exit status 1: an address\n"
    "cannot be had; 2: the command line is wrong.";

// The values of options as texts; CLI11 keeps pointers to them.
struct Texts {
  std::vector<std::string> listen;
  std::string listen_one;
  std::string target;
  std::string api = "protocol";
  std::string busy_poll;
  std::string timeout = "10s";
  std::vector<std::string> servers;
  std::string resolve_timeout = "10s";
  std::string idle_timeout = "60s";
  std::string linger = "1s";
  std::string exec_timeout;
  std::string protocols;
  std::vector<std::string> hosts;
  std::size_t days = 365;
};

// parse_endpoint, for what this build can do.
Endpoint read_endpoint(const std::string& text, PortZero port_zero, Udp udp = Udp::allowed) {
  Endpoint endpoint = parse_endpoint(text, port_zero, udp);
  if (endpoint.is_tls && !WEIR_HAS_TLS) {
    throw std::invalid_argument(built_without_tls);
  }
  return endpoint;
}

// A check whose complaint shows the value, after the name of the option that CLI11 puts before it.
template <class F>
CLI::Validator check(F parse) {
  return CLI::Validator(
      [parse](std::string& text) -> std::string {
        try {
          parse(text);
          return {};
        } catch (const std::exception& error) {
          return "'" + text + "': " + error.what();
        }
      },
      "");
}

void add_serving_options(CLI::App& verb, Texts& texts, Serving& serving) {
  verb.add_option("--busy-poll", texts.busy_poll,
                  "Look for events this long before going to sleep, such as 50us: faster answers for a\n"
                  "busy core")
      ->type_name("DURATION")
      ->check(check(&parse_duration));
  verb.add_option("--max-read", serving.max_read,
                  "The most bytes taken from the system at once, such as 262144: fewer calls where peers\n"
                  "send much")
      ->type_name("BYTES")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1} << 10, std::size_t{64} << 20));
  verb.footer(server_footer);
}

CLI::Option* add_file(CLI::App& verb, const char* name, std::string& path, const char* help) {
  return verb.add_option(name, path, help)->type_name("FILE")->check(CLI::ExistingFile);
}

// Without it, each verb has its own words for it.
void add_protocols(CLI::App& verb, Texts& texts, const char* help) {
  verb.add_option("--alpn", texts.protocols, help)->type_name("NAMES")->check(check(&parse_protocols));
}

constexpr const char* protocols_help_listening =
    "tls: the protocols to choose from, best first, such as h2,http/1.1 (ALPN)";
constexpr const char* protocols_help_connecting =
    "tls: the protocols to offer, best first, such as h2,http/1.1 (ALPN)";

void add_listening_tls(CLI::App& verb, ListeningTls& tls) {
  add_file(verb, "--cert", tls.certificate, "tls: the certificate to show, and those above it; needs --key");
  add_file(verb, "--key", tls.key, "tls: its key");
  add_file(verb, "--client-ca", tls.client_authorities,
           "tls: clients must show a certificate that one of these authorities vouches for");
}

void add_connecting_tls(CLI::App& verb, ConnectingTls& tls) {
  CLI::Option* const authorities =
      add_file(verb, "--cafile", tls.authorities, "tls: the authorities to trust instead of the system's");
  CLI::Option* const certificate =
      add_file(verb, "--client-cert", tls.certificate, "tls: the certificate to show, if the server asks");
  CLI::Option* const key = add_file(verb, "--client-key", tls.key, "tls: its key");
  certificate->needs(key);
  key->needs(certificate);
  verb.add_flag("--insecure", tls.insecure,
                "tls: verify neither certificate nor host name: anyone can pose as the server")
      ->excludes(authorities);
}

// Of the verbs that know what to do with datagrams.
void add_listen(CLI::App& verb, Texts& texts) {
  verb.add_option("LISTEN", texts.listen, listen_help)
      ->required()
      ->type_name("ADDRESS")
      ->check(check([](const std::string& text) { read_endpoint(text, PortZero::allowed); }));
}

CLI::Option* add_target(CLI::App& verb, Texts& texts, const std::string& help, Udp udp = Udp::refused) {
  return verb.add_option("TARGET", texts.target, help)
      ->required()
      ->type_name("ADDRESS")
      ->check(check([udp](const std::string& text) { read_endpoint(text, PortZero::refused, udp); }));
}

void must_last(const std::string& text) {
  if (parse_duration(text) == std::chrono::nanoseconds(0)) {
    throw std::invalid_argument("it must be longer than nothing");
  }
}

void describe_serve(CLI::App& app, Texts& texts, CommandLine& line) {
  CLI::App& serve =
      *app.add_subcommand("serve", "Give the files of a folder away over HTTP/1.1 (GET and HEAD)");
  serve
      .add_option("DIR", line.serve.folder,
                  "The folder. What symbolic links have outside of it is not given away")
      ->required()
      ->type_name("PATH")
      ->check(CLI::ExistingDirectory);
  serve
      .add_option("--listen", texts.listen,
                  "Where to listen, such as tcp://127.0.0.1:8080. May be given again")
      ->required()
      ->type_name("ADDRESS")
      ->expected(1)
      ->take_all()
      ->check(check([](const std::string& text) { read_endpoint(text, PortZero::allowed, Udp::refused); }));
  serve
      .add_option("--idle-timeout", texts.idle_timeout,
                  "How long a client may take for a request; for an answer it has a second more for every\n"
                  "10 KiB")
      ->type_name("DURATION")
      ->capture_default_str()
      ->check(check(&must_last));
  add_listening_tls(serve, line.serving.tls);
  add_protocols(serve, texts, protocols_help_listening);
  add_serving_options(serve, texts, line.serving);
}

void describe_relay(CLI::App& app, Texts& texts, CommandLine& line) {
  CLI::App& relay = *app.add_subcommand(
      "relay",
      "Pass connections on to another server, with back-pressure and half-close both ways, or\n"
      "datagrams and their answers");
  relay.add_option("LISTEN", texts.listen_one, listen_help)
      ->required()
      ->type_name("ADDRESS")
      ->check(check([](const std::string& text) { read_endpoint(text, PortZero::allowed); }));
  add_target(relay, texts, "Where to connect to, once for each client. A client is closed when that fails",
             Udp::allowed);
  relay
      .add_option("--idle-timeout", texts.idle_timeout,
                  "udp: a client from or for which nothing has come for so long is forgotten; tls: a\n"
                  "target may be silent for so long after the end of its client")
      ->type_name("DURATION")
      ->capture_default_str()
      ->check(check(&must_last));
  add_listening_tls(relay, line.serving.tls);
  add_connecting_tls(relay, line.relay.tls);
  add_protocols(relay, texts,
                "tls: the protocols to choose from and to offer, best first, such as h2,http/1.1 (ALPN)");
  add_serving_options(relay, texts, line.serving);
}

void describe_servers(CLI::App& app, Texts& texts, CommandLine& line) {
  CLI::App& echo = *app.add_subcommand("echo", "Send back what comes in (RFC 862)");
  add_listen(echo, texts);
  echo.add_option("--api", texts.api,
                  "What serves: a protocol, a buffered protocol (the system writes into its memory),\n"
                  "coroutines on sock_recv_into and sock_sendall, or coroutines on streams")
      ->type_name("API")
      ->capture_default_str()
      ->check(CLI::IsMember({"protocol", "buffered", "sock", "streams"}));
  echo.add_flag("--once", line.serving.once, "Serve one connection, then end with exit status 0");
  add_listening_tls(echo, line.serving.tls);
  add_protocols(echo, texts, protocols_help_listening);
  add_serving_options(echo, texts, line.serving);

  CLI::App& discard = *app.add_subcommand("discard", "Read and drop what comes in (RFC 863)");
  add_listen(discard, texts);
  add_listening_tls(discard, line.serving.tls);
  add_protocols(discard, texts, protocols_help_listening);
  add_serving_options(discard, texts, line.serving);
  describe_relay(app, texts, line);
  describe_serve(app, texts, line);
}

void describe_resolve(CLI::App& app, Texts& texts, CommandLine& line) {
  CLI::App& resolve =
      *app.add_subcommand("resolve", "Look up the addresses of names, or the names of addresses");
  resolve.add_option("NAME", line.resolve.names, "What to look up")->required()->type_name("TEXT");
  resolve
      .add_option(
          "--server", texts.servers,
          "A name server to ask instead of the machine's, such as 192.0.2.1 or [::1]:5353; the hosts\n"
          "file is left out then. May be given again")
      ->type_name("ADDRESS")
      ->expected(1)
      ->take_all()
      ->check(check(&parse_name_server));
  resolve.add_flag("--reverse", line.resolve.reverse, "The names are numeric addresses: look up their names");
  resolve.add_flag("--json", line.resolve.json, "Print one JSON array");
  resolve.add_option("--timeout", texts.resolve_timeout, "How long it may take")
      ->type_name("DURATION")
      ->capture_default_str()
      ->check(check(&must_last));
  resolve.footer(
      "Prints one line for each answer, best first, and one line on stderr for each name without any.\n"
      "Exit status: 0 when every name has an answer, 1 when one has none, 2 for a wrong command line.");
}

void describe_exec(CLI::App& app, Texts& texts, CommandLine& line) {
  CLI::App& exec = *app.add_subcommand("exec", "Run a program, pass on what it writes, and end as it does");
  exec.add_option("CMD", line.exec.command, "The program and its arguments, after --")
      ->required()
      ->type_name("TEXT");
  exec.add_option("--timeout", texts.exec_timeout,
                  "How long it may run; then it is asked to end, 2 s later killed")
      ->type_name("DURATION")
      ->check(check(&must_last));
  exec.add_flag("--pty", line.exec.pty,
                "Give it a terminal of its own: what is typed goes there, and so does a new size");
  exec.add_flag("--json", line.exec.json,
                "Print one JSON object at its end, with its return code and both outputs (64 MiB each at\n"
                "most); killed at once when its time is over");
  exec.footer(
      "Without --pty it has our input. Signals to us are passed on to it.\n"
      "Exit status: its own; 128 and the number of the signal that killed it; 124 when its time was over;\n"
      "127 when there is no such program, 126 when it may not be run, 1 for other errors, 2 for a wrong\n"
      "command line.");
}

void describe_cert(CLI::App& app, Texts& texts, CommandLine& line) {
  CLI::App& cert = *app.add_subcommand("cert", "Make certificates for trials and tests, and their authority");
  cert.add_option("NAME", texts.hosts,
                  "Whom a certificate is for: a host name or IP address, or several with commas between\n"
                  "them, such as localhost,127.0.0.1,::1. May be given again for another certificate")
      ->required()
      ->type_name("TEXT")
      ->check(check(&parse_hosts));
  cert.add_option("--out", line.cert.folder, "The folder for them, which is made if need be")
      ->required()
      ->type_name("DIR");
  cert.add_option("--ca-name", line.cert.authority_name, "What a new authority is called")
      ->type_name("TEXT")
      ->capture_default_str()
      ->check(CLI::Validator(
          [](std::string& text) -> std::string {
            return text.empty() || text.size() > 64 ? "a name has 1 to 64 bytes" : "";
          },
          ""));
  cert.add_option("--days", texts.days, "For how many days they are good")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{3650}));
  cert.add_flag("--force", line.cert.force, "Replace certificates that are there already");
  cert.footer(
      "Writes DIR/NAME.pem and DIR/NAME-key.pem, and DIR/ca.pem and DIR/ca-key.pem unless they are there:\n"
      "that authority vouches for all certificates of the folder, and whoever trusts it trusts everything\n"
      "that the holder of its key signs. Keys can be read by their owner alone.");
}

void describe_connect(CLI::App& app, Texts& texts, CommandLine& line) {
  CLI::App& connect =
      *app.add_subcommand("connect", "Send standard input to a server, and write what it answers");
  add_target(connect, texts,
             "The server, such as tcp://localhost:8888, tls://localhost:8888, udp://localhost:8888 or\n"
             "unix:///run/echo",
             Udp::allowed);
  connect.add_option("--timeout", texts.timeout, "How long connecting may take")
      ->type_name("DURATION")
      ->capture_default_str()
      ->check(check(&must_last));
  connect
      .add_option("--linger", texts.linger,
                  "udp, tls: how long after the end of the input, and after each answer, to wait for another")
      ->type_name("DURATION")
      ->capture_default_str()
      ->check(check(&must_last));
  add_connecting_tls(connect, line.connect.tls);
  add_protocols(connect, texts, protocols_help_connecting);
  connect.add_flag("--verbose", line.connect.tls.verbose,
                   "tls: tell on stderr what was agreed on, and whose certificate it is");
  connect.footer(
      "The end of the input ends the sending side, and the end of the answer the program. TLS knows no\n"
      "end of one side: the connection is closed when the answer has paused for --linger. To a udp://\n"
      "address, each piece of input goes as a datagram: a line of a terminal, at most 1400 bytes.\n"
      "Exit status: 0 when the answer ended in good order, 1 after an error, 2 for a wrong command\n"
      "line, 130 after Ctrl-C.");
}

void describe_others(CLI::App& app, Texts& texts, CommandLine& line) {
  describe_connect(app, texts, line);
  CLI::App& ping = *app.add_subcommand("ping", "Measure round trips to a server that echoes");
  add_target(ping, texts,
             "The server, such as tcp://127.0.0.1:8888, udp://127.0.0.1:8888, tcp://[::1]:8888 or\n"
             "unix:///run/echo",
             Udp::allowed);
  ping.add_option("--count", line.ping.count, "How many round trips, in all")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{10'000'000}));
  ping.add_option("--size", line.ping.size, "How many bytes each")
      ->type_name("BYTES")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 30));
  ping.add_option("--connections", line.ping.connections, "How many connections share the round trips")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}));
  ping.add_option("--timeout", texts.timeout, "How long connecting may take, and nothing may come back")
      ->type_name("DURATION")
      ->capture_default_str()
      ->check(check(&must_last));
  add_connecting_tls(ping, line.ping.tls);
  add_protocols(ping, texts, protocols_help_connecting);
  ping.footer(
      "Every byte that comes back is compared with what was sent. A progress bar shows on a terminal.\n"
      "Exit status: 0 when all is right, 1 when a byte is wrong or a connection fails, 2 for a wrong\n"
      "command line, 130 after Ctrl-C.");

  describe_resolve(app, texts, line);
  describe_exec(app, texts, line);
  describe_cert(app, texts, line);
  app.add_subcommand("info", "Tell the version, the backend, what it can do, and the limits");
}

void take_texts(const Texts& texts, CommandLine& line) {
  for (const std::string& text : texts.listen) {
    line.serving.listen.push_back(read_endpoint(text, PortZero::allowed));
  }
  if (!texts.listen_one.empty()) {
    line.serving.listen.push_back(read_endpoint(texts.listen_one, PortZero::allowed));
  }
  if (!texts.target.empty()) {
    line.relay.target = line.connect.target = line.ping.target =
        read_endpoint(texts.target, PortZero::refused);
  }
  if (!texts.busy_poll.empty()) {
    line.serving.busy_poll = parse_duration(texts.busy_poll);
  }
  if (!texts.exec_timeout.empty()) {
    line.exec.timeout = parse_duration(texts.exec_timeout);
  }
  line.connect.timeout = line.ping.timeout = parse_duration(texts.timeout);
  line.resolve.timeout = parse_duration(texts.resolve_timeout);
  line.connect.linger = parse_duration(texts.linger);
  line.relay.idle_timeout = line.serve.idle_timeout = parse_duration(texts.idle_timeout);
  for (const std::string& text : texts.servers) {
    line.resolve.servers.push_back(parse_name_server(text));
  }
  line.api = texts.api == "sock"       ? EchoApi::sock
             : texts.api == "streams"  ? EchoApi::streams
             : texts.api == "buffered" ? EchoApi::buffered
                                       : EchoApi::protocol;
  const bool has_udp = std::any_of(line.serving.listen.begin(), line.serving.listen.end(),
                                   [](const Endpoint& endpoint) { return endpoint.is_udp; });
  if (has_udp && (line.serving.once || line.api != EchoApi::protocol)) {
    throw CLI::ValidationError("LISTEN", "udp:// has no connections: neither --once nor another --api");
  }
  if (!texts.listen_one.empty() && has_udp != line.relay.target.is_udp) {
    throw CLI::ValidationError("TARGET", "udp:// is relayed to udp:// only, and nothing else is");
  }
  constexpr std::size_t most_of_datagram = 65507;
  if (line.ping.target.is_udp && line.ping.size > most_of_datagram) {
    throw CLI::ValidationError("--size", "a datagram has at most 65507 bytes");
  }
}

void refuse_if(bool is_wrong, const char* option, const char* why) {
  if (is_wrong) {
    throw CLI::ValidationError(option, why);
  }
}

// Options that would do nothing are a mistake: somebody believes that they do.
void take_tls(const Texts& texts, CommandLine& line) {
  constexpr const char* needs_listening = "it needs a tls:// address to listen on";
  constexpr const char* needs_target = "it needs a tls:// address to connect to";
  const bool listens = std::any_of(line.serving.listen.begin(), line.serving.listen.end(),
                                   [](const Endpoint& endpoint) { return endpoint.is_tls; });
  const bool connects = line.connect.target.is_tls;
  const ListeningTls& listening = line.serving.tls;
  refuse_if(listens && (listening.certificate.empty() || listening.key.empty()), "LISTEN",
            "tls:// needs --cert FILE and --key FILE; weir cert makes them for trials");
  refuse_if(!listens && !listening.certificate.empty(), "--cert", needs_listening);
  refuse_if(!listens && !listening.key.empty(), "--key", needs_listening);
  refuse_if(!listens && !listening.client_authorities.empty(), "--client-ca", needs_listening);
  refuse_if(listens && line.api == EchoApi::sock, "--api",
            "sock_recv_into and sock_sendall know no TLS; tls:// needs another");
  for (const ConnectingTls* const tls : {&line.relay.tls, &line.connect.tls, &line.ping.tls}) {
    refuse_if(!connects && !tls->authorities.empty(), "--cafile", needs_target);
    refuse_if(!connects && !tls->certificate.empty(), "--client-cert", needs_target);
    refuse_if(!connects && tls->insecure, "--insecure", needs_target);
    refuse_if(!connects && tls->verbose, "--verbose", needs_target);
  }
  if (!texts.protocols.empty()) {
    refuse_if(!listens && !connects, "--alpn", "it needs a tls:// address");
    line.serving.tls.protocols = line.relay.tls.protocols = line.connect.tls.protocols =
        line.ping.tls.protocols = parse_protocols(texts.protocols);
  }
}

void take_cert(const Texts& texts, CommandLine& line) {
  for (const std::string& text : texts.hosts) {
    line.cert.hosts.push_back(parse_hosts(text));
  }
  line.cert.valid_for = std::chrono::hours(24 * texts.days);
}

// `unknown_verb`: what stands where a verb should, or nothing.
int complain(const CLI::App& app, const CLI::ParseError& error, const std::string& unknown_verb) {
  std::string command = "weir";
  for (const CLI::App* verb : app.get_subcommands()) {
    command += " " + verb->get_name();
  }
  std::string message = error.what();
  if (!unknown_verb.empty()) {
    message = unknown_verb.starts_with('-')
                  ? "unknown option '" + unknown_verb + "'"
                  : "unknown verb '" + unknown_verb +
                        "'; there are echo, discard, relay, serve, connect, ping, resolve, "
                        "exec, cert and info";
  }
  // One line that tells the terminal nothing, whatever the arguments were.
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  std::replace_if(message.begin(), message.end(), is_control, ' ');
  std::fprintf(stderr, "%s: %s; see %s --help\n", command.c_str(), message.c_str(), command.c_str());
  return 2;
}

}  // namespace

ParsedLine parse_command_line(int argc, const char* const* argv) {
  CLI::App app("weir: servers, clients, a relay and a round-trip meter on an event loop for C++20", "weir");
  app.set_version_flag("--version", std::string("weir ") + weir::library_version());
  app.require_subcommand(1);
  app.footer("weir VERB --help tells more about a verb.");
  Texts texts;
  CommandLine line;
  describe_servers(app, texts, line);
  describe_others(app, texts, line);
  try {
    app.parse(argc, argv);
    take_texts(texts, line);
    take_tls(texts, line);
    take_cert(texts, line);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      return {std::nullopt, app.exit(error)};
    }
    const bool has_verb = !app.get_subcommands().empty();
    return {std::nullopt, complain(app, error, has_verb || argc < 2 ? "" : argv[1])};
  }
  const std::string& chosen = app.get_subcommands().front()->get_name();
  const auto found = std::find(verb_names.begin(), verb_names.end(), chosen);
  line.verb = static_cast<Verb>(found - verb_names.begin());
  return {std::move(line), 0};
}

const char* verb_name(Verb verb) noexcept { return verb_names[static_cast<std::size_t>(verb)].data(); }

}  // namespace program

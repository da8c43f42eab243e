// DNS: the settings of the machine where Windows keeps them, in a registry of the test's own.
#include "backends/host.hpp"
#include "tests/net/dns/servers.hpp"

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// While it lives, the machine's settings are, to this process, what is in a key of its own.
class Registry {
 public:
  Registry() : name_(L"Software\\weir-test-" + std::to_wstring(::GetCurrentProcessId())) {
    ::RegDeleteTreeW(HKEY_CURRENT_USER, name_.c_str());  // of a test that was killed
    REQUIRE(::RegCreateKeyExW(HKEY_CURRENT_USER, name_.c_str(), 0, nullptr, REG_OPTION_VOLATILE,
                              KEY_ALL_ACCESS, nullptr, &root_, nullptr) == ERROR_SUCCESS);
    REQUIRE(::RegOverridePredefKey(HKEY_LOCAL_MACHINE, root_) == ERROR_SUCCESS);
  }
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry() {
    ::RegOverridePredefKey(HKEY_LOCAL_MACHINE, nullptr);
    ::RegCloseKey(root_);
    ::RegDeleteTreeW(HKEY_CURRENT_USER, name_.c_str());
  }

  // A value of TCP/IP's parameters, or of a key below them.
  void set(const std::wstring& below, const wchar_t* name, const std::wstring& text) const {
    const std::wstring path = L"System\\CurrentControlSet\\Services\\Tcpip\\Parameters" + below;
    HKEY key = nullptr;
    REQUIRE(::RegCreateKeyExW(HKEY_LOCAL_MACHINE, path.c_str(), 0, nullptr, REG_OPTION_VOLATILE,
                              KEY_ALL_ACCESS, nullptr, &key, nullptr) == ERROR_SUCCESS);
    const auto* bytes = reinterpret_cast<const BYTE*>(text.c_str());
    const auto size = static_cast<DWORD>((text.size() + 1) * sizeof(wchar_t));
    CHECK(::RegSetValueExW(key, name, 0, REG_SZ, bytes, size) == ERROR_SUCCESS);
    ::RegCloseKey(key);
  }

 private:
  std::wstring name_;
  HKEY root_ = nullptr;
};

Coro<std::string> look_up_short(EventLoop& loop) {
  co_return co_await lookup(loop, "short", AddressFamily::inet);
}

}  // namespace

WEIR_TEST(
    "LESSON-032 changed settings in the registry are noticed, and look-ups under way are not disturbed") {
  if (lacks("LESSON-032", "real_network") || lacks("LESSON-032", Trait::name_server)) {
    co_return;
  }
  const std::vector<std::string> records{"--host-record=short.old.test,192.0.2.1",
                                         "--host-record=short.new.test,192.0.2.2",
                                         "--host-record=short.far.test,192.0.2.3"};
  Dnsmasq server(records);
  co_await server.use(loop);
  const Registry registry;
  registry.set(L"", L"SearchList", L"old.test");
  loop.set_resolver_options({.servers = {&server.address(), 1}, .hosts_file = ""});
  CHECK(co_await look_up_short(loop) == "192.0.2.1");
  auto under_way = loop.create_task(look_up_short(loop));
  co_await sleep(0s);
  registry.set(L"", L"SearchList", L"new.test");
  CHECK(co_await look_up_short(loop) == "192.0.2.2");
  CHECK(co_await under_way == "192.0.2.1");
  // What one interface was told.
  registry.set(L"", L"SearchList", L"");
  registry.set(L"\\Interfaces\\{one}", L"DhcpDomain", L"old.test");
  CHECK(co_await look_up_short(loop) == "192.0.2.1");
  registry.set(L"\\Interfaces\\{one}", L"DhcpDomain", L"far.test");
  CHECK(co_await look_up_short(loop) == "192.0.2.3");
  CHECK((weir::detail::resolver_stamp("") == weir::detail::resolver_stamp("")));
}

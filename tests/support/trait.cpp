// The names of the traits, and who has them.
#include "tests/support/trait.hpp"

#include <weir/config.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>

#if defined(_WIN32)
#include <windows.h>
#endif

namespace weir::testing {

namespace {

#if defined(_WIN32)
constexpr bool is_windows = true;
// Some of what Windows has is not there under Wine.
bool is_wine() noexcept {
  return ::GetProcAddress(::GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != nullptr;
}
#else
constexpr bool is_windows = false;
bool is_wine() noexcept { return false; }
#endif

#if defined(WEIR_BACKEND_SIM)
constexpr bool is_sim = true;
#else
constexpr bool is_sim = false;
#endif

}  // namespace

std::string_view trait_name(Trait trait) noexcept {
  switch (trait) {
    case Trait::number_reuse:
      return "number_reuse";
    case Trait::descriptor_numbers:
      return "descriptor_numbers";
    case Trait::descriptor_limit:
      return "descriptor_limit";
    case Trait::blocking_flag:
      return "blocking_flag";
    case Trait::inherited_sockets:
      return "inherited_sockets";
    case Trait::one_way_pipes:
      return "one_way_pipes";
    case Trait::unsendable_files:
      return "unsendable_files";
    case Trait::keep_alive_timing:
      return "keep_alive_timing";
    case Trait::bytes_before_reset:
      return "bytes_before_reset";
    case Trait::repeated_resets:
      return "repeated_resets";
    case Trait::end_behind_bytes:
      return "end_behind_bytes";
    case Trait::fork:
      return "fork";
    case Trait::chosen_pid:
      return "chosen_pid";
    case Trait::name_server:
      return "name_server";
    case Trait::empty_host_error:
      return "empty_host_error";
    case Trait::typed_answers:
      return "typed_answers";
    case Trait::scope_names:
      return "scope_names";
    case Trait::resolv_conf:
      return "resolv_conf";
  }
  return "";
}

bool machine_has(Trait trait) noexcept {
  switch (trait) {
    case Trait::descriptor_numbers:
    case Trait::blocking_flag:
    case Trait::inherited_sockets:
      return !is_windows && !is_sim;
    case Trait::fork:
      return !is_windows;
    case Trait::chosen_pid: {
      const std::unique_ptr<std::FILE, int (*)(std::FILE*)> last(
          std::fopen("/proc/sys/kernel/ns_last_pid", "r+"), &std::fclose);
      return last != nullptr;
    }
    case Trait::number_reuse:
    case Trait::descriptor_limit:
    case Trait::one_way_pipes:
    case Trait::unsendable_files:
    case Trait::bytes_before_reset:
      return !is_windows || is_sim;
    case Trait::keep_alive_timing:
      return !is_wine() || is_sim;
    case Trait::end_behind_bytes:
      // Neither poll nor select tells of it, as libevent uses them.
      return (!is_wine() && std::getenv("WEIR_TEST_METHOD") == nullptr) || is_sim;
    case Trait::repeated_resets:
      return is_windows && !is_sim;
    case Trait::name_server:
      return !is_windows || is_wine();  // Wine starts the programs of the system under it
    case Trait::empty_host_error:
    case Trait::typed_answers:
    case Trait::scope_names:
    case Trait::resolv_conf:
      return !is_windows;
  }
  return false;
}

}  // namespace weir::testing

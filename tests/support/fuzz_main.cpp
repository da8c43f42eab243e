// Runs a fuzz target where the compiler brings no fuzzer: mutations of seeds, by a number that is printed.
// Usage: PROGRAM RUNS [NUMBER]; another number is another walk, the same number the same.
#include "tests/support/fuzz.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

class Mutator {
 public:
  explicit Mutator(unsigned long number) : random_(number) {}

  std::string next() {
    std::string text = pick(seeds);
    for (std::size_t changes = below(6); changes != 0; --changes) {
      change(text);
    }
    return text;
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  std::string pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

  void change(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    const std::size_t length = below(text.size() - at + 1);
    switch (below(6)) {
      case 0:
        text.insert(at, pick(pieces));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.replace(at, length, pick(pieces));
        break;
      case 3:
        text.insert(at, text.substr(at, length));
        break;
      case 4:
        text.insert(at, 1, static_cast<char>(below(256)));
        break;
      default:
        if (at != text.size()) {
          text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        }
    }
  }

  const std::vector<std::string> seeds = fuzz_seeds();
  const std::vector<std::string> pieces = fuzz_pieces();
  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  const unsigned long runs = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100'000;
  const unsigned long number = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1;
  std::printf("fuzz: %lu runs of walk %lu\n", runs, number);
  std::fflush(stdout);
  Mutator mutator(number);
  for (unsigned long run = 0; run != runs; ++run) {
    const std::string text = mutator.next();
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  }
  return 0;
}

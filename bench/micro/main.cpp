// The program of the rows: under google-benchmark, where the time shown is that of one operation; or
// `--repeat NAME BATCHES [COUNT]`, which runs so many batches and nothing else, to be counted by callgrind
// (with
// --collect-atstart=no: the measured parts).
#include "bench/micro/row.hpp"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#endif

namespace bench {

std::vector<Entry>& entries() {
  static std::vector<Entry> all;
  return all;
}

void Meter::start() {
  allocations_ -= allocations_so_far();
  if (state_ != nullptr) {
    state_->ResumeTiming();
  }
  CALLGRIND_TOGGLE_COLLECT;
}

void Meter::stop() {
  CALLGRIND_TOGGLE_COLLECT;
  if (state_ != nullptr) {
    state_->PauseTiming();
  }
  allocations_ += allocations_so_far();
}

namespace {

void run_entry(benchmark::State& state, const Entry& entry) {
  const Batch batch = entry.make(entry.count);
  Meter warming;
  batch(warming);
  Meter meter(&state);
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(entry.count))) {
    state.PauseTiming();
    batch(meter);
    state.ResumeTiming();
  }
  state.counters["allocations"] =
      static_cast<double>(meter.allocations()) / static_cast<double>(state.iterations());
}

int repeat(std::string_view name, std::size_t batches, std::size_t count) {
  for (const Entry& entry : entries()) {
    if (entry.name == name) {
      const Batch batch = entry.make(count != 0 ? count : entry.count);
      for (std::size_t i = 0; i <= batches; ++i) {  // the first one warms up
        Meter meter;
        batch(meter);
      }
      return 0;
    }
  }
  std::fprintf(stderr, "micro: there is no row %.*s\n", static_cast<int>(name.size()), name.data());
  return 2;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc >= 4 && std::string_view(argv[1]) == "--repeat") {
    return bench::repeat(argv[2], std::strtoul(argv[3], nullptr, 10),
                         argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 0);
  }
  for (const bench::Entry& entry : bench::entries()) {
    benchmark::RegisterBenchmark(entry.name.c_str(), bench::run_entry, entry);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

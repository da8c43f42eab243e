// A fuzz target, as libFuzzer knows one, and what a blind fuzzer needs to know of it besides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// Inputs to begin with, and pieces to put into them.
std::vector<std::string> fuzz_seeds();
std::vector<std::string> fuzz_pieces();

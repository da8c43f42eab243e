// All of weir's public headers.
#pragma once

#include <weir/config.hpp>
#include <weir/version.hpp>

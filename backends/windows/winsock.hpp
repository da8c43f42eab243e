// Winsock's headers, in the one order that they bear, without the macros that they would spill.
#pragma once

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif

// clang-format off
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <windows.h>
// clang-format on

// Words of 16-bit compilers, which are names here. Headers of the system use the second two for them.
#undef near
#undef far
#undef NEAR
#undef FAR
#define NEAR
#define FAR

// A test double: kqueue(2) for Linux, in the form of FreeBSD's <sys/event.h>, so that the kqueue backend can
// be tested where there is no kqueue. It has the filters READ, WRITE, USER and PROC, and rejects more than a
// real kernel does. What it cannot show is listed in kqueue.cpp.
#pragma once

#include <stdint.h>
#include <time.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_PROC (-5)
#define EVFILT_USER (-11)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_DISABLE 0x0008
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_DISPATCH 0x0080
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

#define NOTE_TRIGGER 0x01000000U
#define NOTE_EXIT 0x80000000U

// NOLINTBEGIN(readability-identifier-naming): the names are the system's.
struct kevent {
  uintptr_t ident;
  short filter;
  unsigned short flags;
  unsigned int fflags;
  int64_t data;
  void* udata;
  uint64_t ext[4];
};
// NOLINTEND(readability-identifier-naming)

#define EV_SET(event, ident_, filter_, flags_, fflags_, data_, udata_) \
  (*(event) = {static_cast<uintptr_t>(ident_),                         \
               static_cast<short>(filter_),                            \
               static_cast<unsigned short>(flags_),                    \
               static_cast<unsigned int>(fflags_),                     \
               static_cast<int64_t>(data_),                            \
               static_cast<void*>(udata_),                             \
               {}})

extern "C" int kqueue();
extern "C" int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events,
                      int event_count, const timespec* timeout);

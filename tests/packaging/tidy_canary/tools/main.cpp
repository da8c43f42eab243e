// The program knows public headers only.
#include <weir/weir.hpp>
#include "net/socket.hpp"      // expect: room
#include <weir/detail/op.hpp>  // expect: room

int main() {}  // expect: whitespace  
	int tab;  // expect: whitespace

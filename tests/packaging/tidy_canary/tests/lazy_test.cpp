// A test may take in all of weir, and nobody all of std.
using namespace weir;
using namespace std; // expect: using-namespace

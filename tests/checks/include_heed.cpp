// All of heed through its one header, compiled as a user would: no flag of ours, no dependency in
// sight.
#include <heed/heed.h>

int main() { return 0; }

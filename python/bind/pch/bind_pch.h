// Precompiled for all files of this folder: pybind11 and the library's headers take as long to read
// as a file of bindings takes to compile.
#include "python/bind/bind.h"

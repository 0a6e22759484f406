// The libraries for HTTP and JSON, precompiled.
#pragma once

#include <httplib.h>

#include <nlohmann/json.hpp>

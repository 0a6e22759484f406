// The chat page, built into the program from chat.html by embed.py.  (Lesson 07)
#pragma once

#include <string_view>

namespace needle::serve::http {

std::string_view chat_page();

}  // namespace needle::serve::http

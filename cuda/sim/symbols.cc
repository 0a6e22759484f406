// From addresses to names.  (Lesson 04)
//
// Lines come from libbacktrace, which is part of GCC. It knows no thread-local variables, which
// __shared__ ones are here: those are read from the symbol tables.
#include "cuda/sim/symbols.h"

#include <backtrace.h>
#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "needle/array/error.h"

/// Of the C library: where this thread has a module's thread-local memory, which is made if there is none.
extern "C" void* __tls_get_addr(size_t module_and_offset[2]);

namespace needle::sim {
namespace {

void ignore_error(void*, const char*, int) {}

int take_frame(void* data, uintptr_t, const char* file, int line, const char*) {
  auto& found = *static_cast<Location*>(data);
  if (!file || line == 0) return 0;
  const bool is_ours = std::strstr(file, "cuda/sim/") && !std::strstr(file, "tests/");
  found = {shown_path(file), line};
  return is_ours ? 0 : 1;  // 1: enough, else the function into which this was inlined
}

/// Where a module lies in memory.
struct Module {
  std::string path;
  uintptr_t base = 0;
  uintptr_t thread_local_begin = 0;  // 0: none, or this thread has not used it
};

struct Found {
  std::vector<Module> modules;
  std::vector<Range> ranges;
};

int take_module(dl_phdr_info* info, size_t, void* data) {
  auto& found = *static_cast<Found*>(data);
  Module module = {info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe", info->dlpi_addr};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    const uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD) {
      found.ranges.push_back({begin, begin + segment.p_memsz, false, !(segment.p_flags & PF_W)});
    }
    if (segment.p_type == PT_TLS && info->dlpi_tls_data) {
      module.thread_local_begin = reinterpret_cast<uintptr_t>(info->dlpi_tls_data);
      found.ranges.push_back(
          {module.thread_local_begin, module.thread_local_begin + segment.p_memsz, true, false});
    }
  }
  found.modules.push_back(std::move(module));
  return 0;
}

/// One entry of a symbol table, as it stands in the file.
struct Symbol {
  uintptr_t offset;
  size_t bytes;
  std::string name;
  bool is_thread_local;
};

template <class T>
std::vector<T> read(std::ifstream& file, uint64_t offset, uint64_t count) {
  std::vector<T> out(count);
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(count * sizeof(T)));
  if (!file) out.clear();
  return out;
}

/// The variables in an ELF file's symbol table; none if it has none.
std::vector<Symbol> read_symbols(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const auto header = read<ElfW(Ehdr)>(file, 0, 1);
  if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return {};
  const auto sections = read<ElfW(Shdr)>(file, header[0].e_shoff, header[0].e_shnum);
  std::vector<Symbol> found;
  for (const ElfW(Shdr) & section : sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    const ElfW(Shdr)& strings = sections[section.sh_link];
    auto names = read<char>(file, strings.sh_offset, strings.sh_size);
    names.push_back('\0');
    for (const ElfW(Sym) & symbol :
         read<ElfW(Sym)>(file, section.sh_offset, section.sh_size / sizeof(ElfW(Sym)))) {
      const int type = ELF64_ST_TYPE(symbol.st_info);
      if ((type != STT_OBJECT && type != STT_TLS) || symbol.st_size == 0) continue;
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_name >= names.size()) continue;
      found.push_back({symbol.st_value, symbol.st_size, &names[symbol.st_name], type == STT_TLS});
    }
  }
  return found;
}

/// read_symbols, once for each file.
const std::vector<Symbol>& symbols_of(const std::string& path) {
  static std::unordered_map<std::string, std::vector<Symbol>> kept;
  const auto [place, is_new] = kept.try_emplace(path);
  if (is_new) place->second = read_symbols(path);
  return place->second;
}

std::mutex mutex;

}  // namespace

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

std::string shown_path(const char* path) {
  std::string_view rest = path;
  while (rest.starts_with("../")) rest.remove_prefix(3);
  return std::string(rest);
}

std::string text(const Location& location) {
  if (location.line == 0) return "an unknown line";
  return str(location.file, ":", location.line);
}

Location location_of(uintptr_t pc) {
  static std::unordered_map<uintptr_t, Location> kept;
  const std::lock_guard lock(mutex);
  static backtrace_state* state = backtrace_create_state(nullptr, 1, ignore_error, nullptr);
  const auto [place, is_new] = kept.try_emplace(pc);
  if (is_new) backtrace_pcinfo(state, pc - 1, take_frame, ignore_error, &place->second);
  return place->second;
}

Location location_of(const std::source_location& place) {
  return {shown_path(place.file_name()), static_cast<int>(place.line())};
}

Statics statics() {
  const std::lock_guard lock(mutex);
  Found found;
  dl_iterate_phdr(take_module, &found);
  Statics all;
  all.ranges = std::move(found.ranges);
  for (const Module& module : found.modules) {
    if (module.path.starts_with("/lib") || module.path.starts_with("/usr/lib")) continue;
    for (const Symbol& symbol : symbols_of(module.path)) {
      if (symbol.is_thread_local && !module.thread_local_begin) continue;
      const uintptr_t begin =
          (symbol.is_thread_local ? module.thread_local_begin : module.base) + symbol.offset;
      all.variables.push_back({begin, begin + symbol.bytes, symbol.name, symbol.is_thread_local});
    }
  }
  std::ranges::sort(all.variables, {}, &Variable::begin);
  return all;
}

std::vector<Range> thread_memory() {
  struct Piece {
    size_t module, bytes;
  };
  std::vector<Piece> pieces;
  const auto take = [](dl_phdr_info* info, size_t, void* data) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
      static_cast<std::vector<Piece>*>(data)->push_back(
          {info->dlpi_tls_modid, info->dlpi_phdr[i].p_memsz});
    }
    return 0;
  };
  dl_iterate_phdr(take, &pieces);
  std::vector<Range> all;
  for (const Piece& piece : pieces) {
    size_t place[2] = {piece.module, 0};
    const auto begin = reinterpret_cast<uintptr_t>(__tls_get_addr(place));
    all.push_back({begin, begin + piece.bytes, true, false});
  }
  return all;
}

}  // namespace needle::sim

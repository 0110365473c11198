#pragma once
#include <string>
#include <vector>

#include "config/load.h"
#include "rules/lua_source.h"
#include "rules/source.h"
#include "rules/zone.h"

/// What is wrong with a Lua file, at the place where it is written.
namespace ccrules::rules {

/// A file's name in Lua's messages; LuaJIT cuts names longer than 60 bytes itself, so that no prefix could be recognised.
std::string chunk_name(const SourceFile& file);

/// "rules/my.lua:12: unexpected symbol near 'x'" as a diagnostic at line 12, and at x when the line shows it.
config::Diagnostic lua_error_diagnostic(const SourceFile& file, const std::string& error);

/// Facts that functions in the literal read by name, and that there are not, or not for this pack.
void check_uses(const SourceFile& file, const Literal& literal, const Grants& grants,
                std::vector<config::Diagnostic>& diagnostics);

/// Reads the zones that functions name in place: time_in("Europe/Berlin").
void read_zones(const SourceFile& file, Zones& zones, std::vector<config::Diagnostic>& diagnostics);

}  // namespace ccrules::rules

// Lua 5.1 patterns, written for rules: the C library's matcher cannot be interrupted, this one counts every step.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string_view>

#include <lua.hpp>

#include "core/limits.h"
#include "rules/sandbox.h"
#include "rules/vm.h"

namespace ccrules::rules {
namespace {

constexpr std::size_t kCaptures = 32;
constexpr int kPatternDepth = 160;       // C frames of one match
constexpr std::ptrdiff_t kOpen = -1;     // capture not closed yet
constexpr std::ptrdiff_t kPosition = -2; // "()": the position itself
constexpr std::size_t kBytesPerStep = 64;  // plain scanning is that much cheaper than matching

unsigned char byte(const char* at) { return static_cast<unsigned char>(*at); }

/// One subject against one pattern. Errors are Lua errors; holds nothing that needs a destructor.
class Matcher {
 public:
  Matcher(lua_State* state, std::string_view subject, std::string_view pattern)
      : state_(state), vm_(Vm::of(state)), begin_(subject.data()), end_(subject.data() + subject.size()),
        pattern_end_(pattern.data() + pattern.size()) {}

  /// End of the match of `pattern` (a position in the pattern) at `subject`, or null.
  const char* at(const char* subject, const char* pattern) {
    captures_ = 0;
    depth_ = 0;
    return match(subject, pattern);
  }

  /// Pushes the captures; the whole match when there are none and `whole` is set.
  int push_captures(const char* from, const char* to, bool whole) {
    const std::size_t n = captures_ == 0 && whole ? 1 : captures_;
    luaL_checkstack(state_, static_cast<int>(n), "too many captures");
    for (std::size_t i = 0; i < n; ++i) push_capture(i, from, to);
    return static_cast<int>(n);
  }

  void push_capture(std::size_t i, const char* from, const char* to) {
    if (i >= captures_) {
      if (i != 0) luaL_error(state_, "invalid capture index");
      lua_pushlstring(state_, from, static_cast<std::size_t>(to - from));
      return;
    }
    const Capture& capture = capture_[i];
    if (capture.size == kOpen) luaL_error(state_, "unfinished capture");
    if (capture.size == kPosition) {
      lua_pushinteger(state_, capture.begin - begin_ + 1);
    } else {
      lua_pushlstring(state_, capture.begin, static_cast<std::size_t>(capture.size));
    }
  }

 private:
  struct Capture {
    const char* begin;
    std::ptrdiff_t size;
  };

  const char* fail(const char* message) {
    luaL_error(state_, message);
    return nullptr;
  }

  // Behind the single-character class that starts at p.
  const char* class_end(const char* p) {
    if (p == pattern_end_) return fail("malformed pattern");
    const char first = *p++;
    if (first == '%') {
      if (p == pattern_end_) return fail("malformed pattern (ends with '%%')");
      return p + 1;
    }
    if (first != '[') return p;
    if (p < pattern_end_ && *p == '^') ++p;
    do {
      if (p == pattern_end_) return fail("malformed pattern (missing ']')");
      if (*p++ == '%') {
        if (p == pattern_end_) return fail("malformed pattern (missing ']')");
        ++p;
      }
    } while (p == pattern_end_ || *p != ']');
    return p + 1;
  }

  static bool in_class(int c, int letter) {
    bool yes = false;
    switch (std::tolower(letter)) {
      case 'a': yes = std::isalpha(c) != 0; break;
      case 'c': yes = std::iscntrl(c) != 0; break;
      case 'd': yes = std::isdigit(c) != 0; break;
      case 'l': yes = std::islower(c) != 0; break;
      case 'p': yes = std::ispunct(c) != 0; break;
      case 's': yes = std::isspace(c) != 0; break;
      case 'u': yes = std::isupper(c) != 0; break;
      case 'w': yes = std::isalnum(c) != 0; break;
      case 'x': yes = std::isxdigit(c) != 0; break;
      case 'z': yes = c == 0; break;
      default: return letter == c;
    }
    return std::isupper(letter) != 0 ? !yes : yes;
  }

  // `set` at '[', `last` at its ']'.
  static bool in_set(int c, const char* set, const char* last) {
    bool wanted = true;
    const char* p = set + 1;
    if (*p == '^') {
      wanted = false;
      ++p;
    }
    for (; p < last; ++p) {
      if (*p == '%') {
        ++p;
        if (in_class(c, byte(p))) return wanted;
      } else if (p + 2 < last && p[1] == '-') {
        if (byte(p) <= c && c <= byte(p + 2)) return wanted;
        p += 2;
      } else if (byte(p) == c) {
        return wanted;
      }
    }
    return !wanted;
  }

  bool one(const char* s, const char* p, const char* p_end) const {
    if (s >= end_) return false;
    const int c = byte(s);
    switch (*p) {
      case '.': return true;
      case '%': return in_class(c, byte(p + 1));
      case '[': return in_set(c, p, p_end - 1);
      default: return byte(p) == c;
    }
  }

  const char* match(const char* s, const char* p) {
    if (++depth_ > kPatternDepth) return fail("pattern too complex");
    const char* result = match_here(s, p);
    --depth_;
    return result;
  }

  const char* match_here(const char* s, const char* p) {
    for (;;) {
      vm_.work(1);
      if (p == pattern_end_) return s;
      if (*p == '(') return open_capture(s, p);
      if (*p == ')') return close_capture(s, p);
      if (*p == '$' && p + 1 == pattern_end_) return s == end_ ? s : nullptr;
      if (*p == '%' && p + 1 < pattern_end_) {
        if (p[1] == 'b') {
          s = balanced(s, p);
          if (s == nullptr) return nullptr;
          p += 4;
          continue;
        }
        if (p[1] == 'f') {
          p = frontier(s, p);
          if (p == nullptr) return nullptr;
          continue;
        }
        if (std::isdigit(byte(p + 1)) != 0) {
          s = back_reference(s, p);
          if (s == nullptr) return nullptr;
          p += 2;
          continue;
        }
      }
      const char* p_end = class_end(p);
      const char repeat = p_end < pattern_end_ ? *p_end : '\0';
      switch (repeat) {
        case '?':
          if (one(s, p, p_end)) {
            if (const char* result = match(s + 1, p_end + 1)) return result;
          }
          p = p_end + 1;
          continue;
        case '*': return longest(s, p, p_end);
        case '+': return one(s, p, p_end) ? longest(s + 1, p, p_end) : nullptr;
        case '-': return shortest(s, p, p_end);
        default: break;
      }
      if (!one(s, p, p_end)) return nullptr;
      ++s;
      p = p_end;
    }
  }

  const char* longest(const char* s, const char* p, const char* p_end) {
    const char* last = s;
    while (one(last, p, p_end)) {
      ++last;
      if (static_cast<std::size_t>(last - s) % kBytesPerStep == 0) vm_.work(kBytesPerStep / 8);
    }
    for (; last >= s; --last) {
      if (const char* result = match(last, p_end + 1)) return result;
    }
    return nullptr;
  }

  const char* shortest(const char* s, const char* p, const char* p_end) {
    for (;;) {
      if (const char* result = match(s, p_end + 1)) return result;
      if (!one(s, p, p_end)) return nullptr;
      ++s;
    }
  }

  const char* open_capture(const char* s, const char* p) {
    if (captures_ >= kCaptures) return fail("too many captures");
    const bool position = p + 1 < pattern_end_ && p[1] == ')';
    capture_[captures_++] = Capture{s, position ? kPosition : kOpen};
    const char* result = match(s, p + (position ? 2 : 1));
    if (result == nullptr) --captures_;
    return result;
  }

  const char* close_capture(const char* s, const char* p) {
    std::size_t i = captures_;
    while (i > 0 && capture_[i - 1].size != kOpen) --i;
    if (i == 0) return fail("invalid pattern capture");
    capture_[i - 1].size = s - capture_[i - 1].begin;
    const char* result = match(s, p + 1);
    if (result == nullptr) capture_[i - 1].size = kOpen;
    return result;
  }

  const char* balanced(const char* s, const char* p) {
    if (p + 3 >= pattern_end_) return fail("unbalanced pattern");
    if (s >= end_ || *s != p[2]) return nullptr;
    std::size_t open = 1;
    for (const char* at = s + 1; at < end_; ++at) {
      if (static_cast<std::size_t>(at - s) % kBytesPerStep == 0) vm_.work(kBytesPerStep / 8);
      if (*at == p[3]) {
        if (--open == 0) return at + 1;
      } else if (*at == p[2]) {
        ++open;
      }
    }
    return nullptr;
  }

  // Behind "%f[set]" when s stands at such a frontier, else null.
  const char* frontier(const char* s, const char* p) {
    p += 2;
    if (p >= pattern_end_ || *p != '[') return fail("missing '[' after '%%f' in pattern");
    const char* p_end = class_end(p);
    const int before = s == begin_ ? 0 : byte(s - 1);
    const int here = s < end_ ? byte(s) : 0;
    return !in_set(before, p, p_end - 1) && in_set(here, p, p_end - 1) ? p_end : nullptr;
  }

  const char* back_reference(const char* s, const char* p) {
    const int i = p[1] - '1';
    if (i < 0 || static_cast<std::size_t>(i) >= captures_ || capture_[static_cast<std::size_t>(i)].size < 0) {
      return fail("invalid capture index");
    }
    const Capture& capture = capture_[static_cast<std::size_t>(i)];
    vm_.work(static_cast<std::size_t>(capture.size) / kBytesPerStep);
    if (end_ - s < capture.size) return nullptr;
    return std::memcmp(capture.begin, s, static_cast<std::size_t>(capture.size)) == 0 ? s + capture.size : nullptr;
  }

  lua_State* state_;
  Vm& vm_;
  const char* begin_;
  const char* end_;
  const char* pattern_end_;
  std::size_t captures_ = 0;
  int depth_ = 0;
  std::array<Capture, kCaptures> capture_{};
};

std::string_view text_argument(lua_State* state, int index) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(state, index, &size);
  return {text, size};
}

// Argument 3 of find and match: a start position, from 0 after this; negative counts from the end.
std::size_t start_argument(lua_State* state, std::size_t size) {
  const lua_Number given = luaL_optnumber(state, 3, 1);
  const auto length = static_cast<lua_Number>(size);
  lua_Number start = given >= 0 ? given - 1 : length + given;
  if (!(start > 0)) start = 0;  // also NaN
  return start > length ? size : static_cast<std::size_t>(start);
}

int find_or_match(lua_State* state, bool find) {
  const std::string_view subject = text_argument(state, 1);
  const std::string_view pattern = text_argument(state, 2);
  const std::size_t start = start_argument(state, subject.size());
  Vm& vm = Vm::of(state);
  if (find && (lua_toboolean(state, 4) != 0 || pattern.find_first_of("^$*+?.([%-") == std::string_view::npos)) {
    // memmem is linear even for hostile pairs; pay for its bytes.
    vm.work((subject.size() - start + pattern.size()) / kBytesPerStep + 1);
    const void* at = memmem(subject.data() + start, subject.size() - start, pattern.data(), pattern.size());
    if (at == nullptr) {
      lua_pushnil(state);
      return 1;
    }
    const auto position = static_cast<const char*>(at) - subject.data();
    lua_pushinteger(state, position + 1);
    lua_pushinteger(state, position + static_cast<std::ptrdiff_t>(pattern.size()));
    return 2;
  }
  Matcher matcher(state, subject, pattern);
  const char* p = pattern.data();
  const bool anchored = !pattern.empty() && *p == '^';
  if (anchored) ++p;
  const char* end = subject.data() + subject.size();
  for (const char* s = subject.data() + start; s <= end; ++s) {
    if (const char* to = matcher.at(s, p)) {
      if (!find) return matcher.push_captures(s, to, true);
      lua_pushinteger(state, s - subject.data() + 1);
      lua_pushinteger(state, to - subject.data());
      return matcher.push_captures(s, to, false) + 2;
    }
    if (anchored) break;
  }
  lua_pushnil(state);
  return 1;
}

int string_find(lua_State* state) { return find_or_match(state, true); }
int string_match(lua_State* state) { return find_or_match(state, false); }

int next_match(lua_State* state) {
  const std::string_view subject = text_argument(state, lua_upvalueindex(1));
  const std::string_view pattern = text_argument(state, lua_upvalueindex(2));
  Matcher matcher(state, subject, pattern);
  const char* end = subject.data() + subject.size();
  for (const char* s = subject.data() + lua_tointeger(state, lua_upvalueindex(3)); s <= end; ++s) {
    if (const char* to = matcher.at(s, pattern.data())) {
      lua_pushinteger(state, (to == s ? to + 1 : to) - subject.data());
      lua_replace(state, lua_upvalueindex(3));
      return matcher.push_captures(s, to, true);
    }
  }
  return 0;
}

int string_gmatch(lua_State* state) {
  luaL_checkstring(state, 1);
  luaL_checkstring(state, 2);
  lua_settop(state, 2);
  lua_pushinteger(state, 0);
  lua_pushcclosure(state, next_match, 3);
  return 1;
}

void add_bytes(lua_State* state, luaL_Buffer& out, std::size_t& size, const char* bytes, std::size_t count) {
  size += count;
  if (size > limits::kLuaTextBytes) luaL_error(state, "the result is longer than 1 MiB");
  luaL_addlstring(&out, bytes, count);
}

// Adds the replacement string with its %0..%9.
void add_template(lua_State* state, Matcher& matcher, luaL_Buffer& out, std::size_t& size, std::string_view text,
                  const char* from, const char* to) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 1 == text.size()) {
      add_bytes(state, out, size, &text[i], 1);
      continue;
    }
    const char c = text[++i];
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      add_bytes(state, out, size, &c, 1);
    } else if (c == '0') {
      add_bytes(state, out, size, from, static_cast<std::size_t>(to - from));
    } else {
      matcher.push_capture(static_cast<std::size_t>(c - '1'), from, to);
      size += lua_objlen(state, -1);
      if (size > limits::kLuaTextBytes) luaL_error(state, "the result is longer than 1 MiB");
      luaL_addvalue(&out);
    }
  }
}

// Adds what the function or table in argument 3 gives for the match.
void add_lookup(lua_State* state, Matcher& matcher, luaL_Buffer& out, std::size_t& size, const char* from, const char* to) {
  if (lua_type(state, 3) == LUA_TFUNCTION) {
    lua_pushvalue(state, 3);
    const int arguments = matcher.push_captures(from, to, true);
    call_lua(state, arguments, 1);
  } else {
    matcher.push_capture(0, from, to);
    push_behind(state, 3);
    lua_insert(state, -2);
    lua_rawget(state, -2);
    lua_remove(state, -2);
  }
  if (lua_toboolean(state, -1) == 0) {
    lua_pop(state, 1);
    add_bytes(state, out, size, from, static_cast<std::size_t>(to - from));
    return;
  }
  if (lua_isstring(state, -1) == 0) luaL_error(state, "invalid replacement value (a %s)", luaL_typename(state, -1));
  size += lua_objlen(state, -1);
  if (size > limits::kLuaTextBytes) luaL_error(state, "the result is longer than 1 MiB");
  luaL_addvalue(&out);
}

int string_gsub(lua_State* state) {
  const std::string_view subject = text_argument(state, 1);
  const std::string_view pattern = text_argument(state, 2);
  const int type = lua_type(state, 3);
  luaL_argcheck(state, type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                "string, function or table expected");
  const bool lookup = type == LUA_TFUNCTION || type == LUA_TTABLE;
  const std::string_view replacement = lookup ? std::string_view() : text_argument(state, 3);
  const lua_Number most = luaL_optnumber(state, 4, static_cast<lua_Number>(subject.size()) + 1);

  const char* p = pattern.data();
  const bool anchored = !pattern.empty() && *p == '^';
  if (anchored) ++p;
  Matcher matcher(state, subject, pattern);
  luaL_Buffer out;
  luaL_buffinit(state, &out);
  std::size_t size = 0;
  lua_Number count = 0;
  const char* s = subject.data();
  const char* end = s + subject.size();
  while (count < most) {
    const char* to = matcher.at(s, p);
    if (to != nullptr) {
      ++count;
      if (lookup) {
        add_lookup(state, matcher, out, size, s, to);
      } else {
        add_template(state, matcher, out, size, replacement, s, to);
      }
    }
    if (to != nullptr && to > s) {
      s = to;
    } else if (s < end) {
      add_bytes(state, out, size, s++, 1);
    } else {
      break;
    }
    if (anchored) break;
  }
  add_bytes(state, out, size, s, static_cast<std::size_t>(end - s));
  luaL_pushresult(&out);
  lua_pushnumber(state, count);
  return 2;
}

}  // namespace

void install_patterns(lua_State* state) {
  static constexpr luaL_Reg kFunctions[] = {
      {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub}};
  for (const luaL_Reg& function : kFunctions) {
    lua_pushcfunction(state, function.func);
    lua_setfield(state, -2, function.name);
  }
}

}  // namespace ccrules::rules

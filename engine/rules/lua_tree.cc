#include "rules/lua_tree.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/limits.h"
#include "rules/lua_stack.h"
#include "rules/sandbox.h"

namespace ccrules::rules {
namespace {

/// Whether a function written in place reads what is only known once the targets are.
bool reads_target(const Literal::Entry& entry) {
  return std::any_of(entry.uses.begin(), entry.uses.end(), [](const Literal::FactUse& use) {
    return use.name == "target_provider" || use.name == "provider_class";
  });
}

}  // namespace

Tree TreeReader::read(int index, const Literal* literal, Spot at, std::size_t depth) {
  Tree tree;
  tree.at = at;
  if (++nodes_ > limits::kRuleTreeNodes || depth > limits::kRuleTreeDepth) {
    if (!too_large_) problems_.push_back({at, "this table is too large or nested too deep", {}});
    too_large_ = true;
    return tree;
  }
  switch (lua_type(state_, index)) {
    case LUA_TNIL: break;
    case LUA_TBOOLEAN:
      tree.kind = Tree::Kind::kFlag;
      tree.flag = lua_toboolean(state_, index) != 0;
      break;
    case LUA_TNUMBER:
      tree.kind = Tree::Kind::kNumber;
      tree.number = lua_tonumber(state_, index);
      break;
    case LUA_TSTRING:
      tree.kind = Tree::Kind::kText;
      tree.text = text_at(state_, index);
      break;
    case LUA_TFUNCTION:
      if (!functions_) {
        problems_.push_back({at, "a function returned a function instead of a value", {}});
        break;
      }
      tree.kind = Tree::Kind::kFunction;
      lua_pushvalue(state_, index);
      tree.ref = luaL_ref(state_, LUA_REGISTRYINDEX);
      break;
    case LUA_TTABLE: table(tree, index, literal, depth); break;
    default:
      problems_.push_back({at, std::string("a ") + luaL_typename(state_, index) + " cannot be part of a rule", {}});
  }
  return tree;
}

void TreeReader::table(Tree& tree, int index, const Literal* literal, std::size_t depth) {
  tree.kind = Tree::Kind::kTable;
  if (literal != nullptr) tree.at = literal->at;
  luaL_checkstack(state_, 8, "nested too deep");
  push_behind(state_, index);
  int table = lua_gettop(state_);
  lua_pushlightuserdata(state_, marker_key());
  lua_rawget(state_, table);
  if (lua_type(state_, -1) == LUA_TSTRING) {
    tree.kind = Tree::Kind::kMarker;
    tree.text = text_at(state_, -1);
    push(state_, "body");
    lua_rawget(state_, table);
    if (!lua_istable(state_, -1)) {
      lua_pop(state_, 3);
      return;
    }
    push_behind(state_, lua_gettop(state_));
    lua_replace(state_, table);
    lua_pop(state_, 1);
  }
  lua_pop(state_, 1);
  read_items(tree, table, literal, depth);
  read_members(tree, table, literal, depth);
  lua_settop(state_, table - 1);
}

void TreeReader::read_items(Tree& tree, int table, const Literal* literal, std::size_t depth) {
  const std::size_t count = lua_objlen(state_, table);
  for (std::size_t i = 0; i < count && !too_large_; ++i) {
    const Literal::Entry* entry = literal != nullptr ? literal->item(i) : nullptr;
    lua_rawgeti(state_, table, static_cast<int>(i) + 1);
    tree.items.push_back(read(lua_gettop(state_), entry != nullptr ? entry->table.get() : nullptr,
                              entry != nullptr ? entry->value_at : tree.at, depth + 1));
    tree.items.back().about_target = entry != nullptr && reads_target(*entry);
    lua_pop(state_, 1);
  }
}

void TreeReader::read_members(Tree& tree, int table, const Literal* literal, std::size_t depth) {
  for (lua_pushnil(state_); lua_next(state_, table) != 0 && !too_large_; lua_pop(state_, 1)) {
    const int type = lua_type(state_, -2);
    if (type == LUA_TNUMBER) {
      const lua_Number i = lua_tonumber(state_, -2);
      if (i >= 1 && i <= static_cast<lua_Number>(tree.items.size())) continue;
    }
    if (type == LUA_TLIGHTUSERDATA) continue;
    if (type != LUA_TSTRING) {
      problems_.push_back({tree.at, "a list here has holes or keys that are not names", {}});
      continue;
    }
    Tree::Member member;
    member.key = text_at(state_, -2);
    const Literal::Entry* entry = literal != nullptr ? literal->find(member.key) : nullptr;
    member.at = entry != nullptr ? entry->at : tree.at;
    member.value = read(lua_gettop(state_), entry != nullptr ? entry->table.get() : nullptr,
                        entry != nullptr ? entry->value_at : tree.at, depth + 1);
    member.value.about_target = entry != nullptr && reads_target(*entry);
    tree.members.push_back(std::move(member));
  }
  std::sort(tree.members.begin(), tree.members.end(), [](const Tree::Member& a, const Tree::Member& b) {
    if (a.at.line != b.at.line) return a.at.line < b.at.line;
    if (a.at.column != b.at.column) return a.at.column < b.at.column;
    return a.key < b.key;
  });
}

}  // namespace ccrules::rules

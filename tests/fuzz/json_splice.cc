// Any bytes as JSON: reading never disagrees with validating, and an edited text is valid and holds the edit.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/splice.h"

namespace {

using namespace ccrules;

void require(bool holds) {
  if (!holds) std::abort();
}

/// Reads everything a reader can read.
bool walk(json::Value& value) {
  switch (value.type()) {
    case json::Type::kObject: {
      (void)value.peek_string("type");
      auto object = value.object();
      if (!object.ok()) return false;
      while (object->next()) {
        if (object->key().size() % 3 == 1) continue;  // some members are skipped
        if (!walk(object->value())) return false;
      }
      return object->done().ok();
    }
    case json::Type::kArray: {
      auto array = value.array();
      if (!array.ok()) return false;
      while (array->next()) {
        if (!walk(array->value())) return false;
      }
      return array->done().ok();
    }
    case json::Type::kString: {
      const auto text = value.string();
      if (!text.ok()) return false;
      std::string again;
      json::append_string(again, *text);
      require(json::is_valid(again));
      return true;
    }
    case json::Type::kBool:
      return value.boolean().ok();
    default:
      return value.raw().ok();
  }
}

/// Every text goes out as it would when it was read and written; what else there is, is passed over.
bool copies(json::Value value) {
  switch (value.type()) {
    case json::Type::kObject: {
      (void)value.peek_string("type");
      auto object = value.object();
      while (object.ok() && object->next()) {
        if (object->key().size() % 3 == 1) continue;
        if (!copies(object->value())) return false;
      }
      return object.ok() && object->done().ok();
    }
    case json::Type::kString: {
      const auto text = value.text();
      if (!text.ok()) return false;
      std::string copied;
      json::append_string(copied, *text);
      std::string rewritten;
      json::append_string(rewritten, text->view());
      require(copied == rewritten);
      return true;
    }
    default:
      return value.raw().ok();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const bool valid = json::is_valid(text);
  auto document = json::Document::open_view(text);
  bool walked = false;
  if (document.ok()) {
    auto root = document->root();
    walked = walk(*root) && document->at_end().ok();
  }
  require(walked == valid);
  auto looked_through = json::Document::open_view(text, json::Escapes::kUnchecked);
  if (looked_through.ok()) {
    auto root = looked_through->root_object();
    while (root.ok() && root->next()) (void)root->value().raw();
    (void)looked_through->at_end();  // broken escapes may have been passed over
    looked_through->rewind();
    require((copies(*looked_through->root()) && looked_through->at_end().ok()) == valid);
  }
  if (valid) {
    const std::string compact = json::compact(text);
    require(json::is_valid(compact));
    require(json::compact(compact) == compact);
  }
  const auto edited =
      json::splice(text, {{{"model"}, "\"m\""}, {{"thinking", "budget"}, "5"}, {{"stream"}, ""}});
  if (valid && edited.ok()) {
    require(json::is_valid(*edited));
    auto again = json::Document::open_view(*edited);
    require(again.ok());
    auto root = again->root_object();
    require(root.ok());
    bool found = false;
    while (root->next()) {
      require(root->key() != "stream");
      if (root->key() == "model") {
        const auto model = root->value().string();
        require(model.ok() && *model == "m");
        found = true;
      }
    }
    require(found);
  }
  return 0;
}

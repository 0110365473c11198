#include "config/vendors.h"

#include <algorithm>

#include "core/assert.h"
#include "core/embedded.h"
#include "core/json.h"

namespace ccrules::config {
namespace {

Error wrong(const std::string& what) {
  return internal_error("config/providers: " + what);
}

Result<std::vector<std::string>> read_strings(json::Value& value) {
  std::vector<std::string> strings;
  CCR_TRY(array, value.array());
  while (array.next()) {
    CCR_TRY(text, array.value().string());
    strings.emplace_back(text);
  }
  CCR_CHECK(array.done());
  return strings;
}

Result<Endpoint> read_endpoint(json::Value& value) {
  Endpoint endpoint;
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string name(object.key());
    if (name == "switches") {
      CCR_TRY(switches, object.value().object());
      while (switches.next()) {
        const std::string key(switches.key());
        CCR_TRY(on, switches.value().boolean());
        endpoint.switches.insert_or_assign(key, on);
      }
      CCR_CHECK(switches.done());
      continue;
    }
    CCR_TRY(text, object.value().string());
    if (name == "base_url")
      endpoint.base_url = text;
    else if (name == "auth")
      endpoint.auth = text;
    else if (name == "reasoning_replay")
      endpoint.reasoning_replay = text;
    else if (name == "reasoning_style")
      endpoint.reasoning_style = text;
    else if (name == "cloud")
      endpoint.cloud = text;
    else
      return wrong("unknown member '" + name + "' of an endpoint");
  }
  CCR_CHECK(object.done());
  return endpoint;
}

Result<void> read_tiers(json::Value& value, Vendor& vendor) {
  CCR_TRY(object, value.object());
  while (object.next()) {
    const bool big = object.key() == "big";
    CCR_TRY(model, object.value().string());
    (big ? vendor.big : vendor.small) = model;
  }
  return object.done();
}

Result<void> read_evidence(json::Value& value, Vendor& vendor) {
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string name(object.key());
    CCR_TRY(words, object.value().string());
    vendor.evidence.insert_or_assign(name, std::string(words));
  }
  return object.done();
}

Result<void> read_member(const std::string& name, json::Value& value, Vendor& vendor) {
  if (name == "order") {
    CCR_TRY(order, value.integer());
    vendor.order = static_cast<int>(order);
  } else if (name == "local") {
    CCR_TRY(local, value.boolean());
    vendor.local = local;
  } else if (name == "api_key_env" || name == "models") {
    CCR_TRY(strings, read_strings(value));
    (name == "models" ? vendor.models : vendor.api_key_env) = std::move(strings);
  } else if (name == "tiers") {
    CCR_CHECK(read_tiers(value, vendor));
  } else if (name == "evidence") {
    CCR_CHECK(read_evidence(value, vendor));
  } else if (name == "endpoints") {
    CCR_TRY(object, value.object());
    while (object.next()) {
      const std::string dialect(object.key());
      CCR_TRY(endpoint, read_endpoint(object.value()));
      vendor.endpoints.emplace(dialect, std::move(endpoint));
    }
    CCR_CHECK(object.done());
  } else {
    CCR_TRY(text, value.string());
    if (name == "id")
      vendor.id = text;
    else if (name == "name")
      vendor.name = text;
    else if (name == "dialect")
      vendor.dialect = text;
    else if (name == "schema" && text != "ccrules.provider/1")
      return wrong("schema must be ccrules.provider/1");
    else if (name != "schema" && name != "about" && name != "source" && name != "date")
      return wrong("unknown member '" + name + "'");
  }
  return {};
}

}  // namespace

Result<Vendor> parse_vendor(std::string_view text) {
  Vendor vendor;
  CCR_TRY(document, json::Document::open(text));
  CCR_TRY(root, document.root_object());
  while (root.next()) {
    const std::string name(root.key());
    CCR_CHECK(read_member(name, root.value(), vendor));
  }
  CCR_CHECK(root.done());
  CCR_CHECK(document.at_end());
  if (vendor.id.empty()) return wrong("a vendor without id");
  if (!vendor.endpoints.contains(vendor.dialect))
    return wrong(vendor.id + " has no endpoint for its dialect");
  return vendor;
}

bool Vendor::needs_address(const std::string& spoken) const {
  const auto endpoint = endpoints.find(spoken);
  return endpoint != endpoints.end() && endpoint->second.base_url.find("YOUR-") != std::string::npos;
}

const std::vector<Vendor>& vendors() {
  static const std::vector<Vendor> rows = [] {
    std::vector<Vendor> parsed;
    for (const embedded::Row& row : embedded::files()) {
      if (!std::string_view(row.name).starts_with("config/providers/")) continue;
      Result<Vendor> vendor = parse_vendor(row.text());
      CCR_ASSERT(vendor.ok());
      parsed.push_back(*std::move(vendor));
    }
    std::sort(parsed.begin(), parsed.end(),
              [](const Vendor& a, const Vendor& b) { return a.order < b.order; });
    return parsed;
  }();
  return rows;
}

const Vendor* find_vendor(std::string_view id) {
  for (const Vendor& vendor : vendors()) {
    if (vendor.id == id) return &vendor;
  }
  return nullptr;
}

}  // namespace ccrules::config

#include "packs/version.h"

#include <algorithm>
#include <compare>
#include <limits>

#include "core/text.h"

namespace ccrules::packs {
namespace {

constexpr std::size_t kVersionBytes = 64;   // longer than any version that people write
constexpr std::size_t kRangeBytes = 256;

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

/// Without leading zeros, below 2^31.
std::optional<std::uint32_t> number(std::string_view text) {
  if (!is_digits(text) || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const std::optional<std::int64_t> value = text::to_int(text);
  if (!value || *value >= std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

bool is_prerelease(std::string_view text) {
  for (const std::string_view part : text::split(text, '.')) {
    if (!is_identifier(part)) return false;
    if (is_digits(part) && part.size() > 1 && part[0] == '0') return false;
  }
  return true;
}

std::strong_ordering compare_parts(std::string_view a, std::string_view b) {
  const bool a_number = is_digits(a);
  const bool b_number = is_digits(b);
  if (a_number != b_number) return a_number ? std::strong_ordering::less : std::strong_ordering::greater;
  if (a_number && a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

std::strong_ordering compare(const Version& a, const Version& b) {
  if (const auto order = a.major <=> b.major; order != 0) return order;
  if (const auto order = a.minor <=> b.minor; order != 0) return order;
  if (const auto order = a.patch <=> b.patch; order != 0) return order;
  if (a.pre.empty() || b.pre.empty()) return b.pre.size() <=> a.pre.size();  // the release is the greater one
  const auto left = text::split(a.pre, '.');
  const auto right = text::split(b.pre, '.');
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (const auto order = compare_parts(left[i], right[i]); order != 0) return order;
  }
  return left.size() <=> right.size();
}

Version make(std::uint32_t major, std::uint32_t minor, std::uint32_t patch) { return Version{major, minor, patch, {}}; }

}  // namespace

std::optional<Version> Version::parse(std::string_view text) {
  if (text.size() > kVersionBytes) return std::nullopt;
  if (const std::size_t plus = text.find('+'); plus != std::string_view::npos) {
    for (const std::string_view part : text::split(text.substr(plus + 1), '.')) {
      if (!is_identifier(part)) return std::nullopt;
    }
    text = text.substr(0, plus);
  }
  Version version;
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    version.pre = text.substr(dash + 1);
    if (!is_prerelease(version.pre)) return std::nullopt;
    text = text.substr(0, dash);
  }
  const auto parts = text::split(text, '.');
  if (parts.size() != 3) return std::nullopt;
  const auto major = number(parts[0]);
  const auto minor = number(parts[1]);
  const auto patch = number(parts[2]);
  if (!major || !minor || !patch) return std::nullopt;
  version.major = *major;
  version.minor = *minor;
  version.patch = *patch;
  return version;
}

std::string Version::text() const {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch) + (pre.empty() ? "" : "-" + pre);
}

bool operator<(const Version& a, const Version& b) { return compare(a, b) < 0; }

bool Range::parse_comparator(std::string_view text, std::vector<Bound>& bounds) {
  std::string_view op;
  for (const std::string_view known : {">=", "<=", "^", "~", ">", "<", "="}) {
    if (!text.starts_with(known)) continue;
    op = known;
    text = text::trim(text.substr(known.size()));
    break;
  }
  if (const std::optional<Version> whole = Version::parse(text); whole && op != "^" && op != "~") {
    const Bound::Op kind = op == ">=" ? Bound::Op::kAtLeast
                           : op == "<=" ? Bound::Op::kAtMost
                           : op == ">"  ? Bound::Op::kGreater
                           : op == "<"  ? Bound::Op::kLess
                                        : Bound::Op::kEqual;
    bounds.push_back({kind, *whole});
    return true;
  }
  // Parts may be left out or be "x": then any number stands there.
  std::string pre;
  std::string_view numbers = text;
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    if (!Version::parse(text)) return false;
    pre = text.substr(dash + 1);
    numbers = text.substr(0, dash);
  }
  std::vector<std::uint32_t> given;
  bool open = false;
  const auto parts = text::split(numbers, '.');
  if (parts.size() > 3) return false;
  for (const std::string_view part : parts) {
    if (part == "*" || part == "x" || part == "X") {
      open = true;
      continue;
    }
    const auto value = number(part);
    if (!value || open) return false;
    given.push_back(*value);
  }
  if (given.empty()) return open && (op.empty() || op == ">=");  // "*" and ">=*": anything
  const auto part = [&given](std::size_t i) { return i < given.size() ? given[i] : 0U; };
  Version least = make(part(0), part(1), part(2));
  // The first version above all that the given parts stand for.
  const Version next = given.size() == 1   ? make(part(0) + 1, 0, 0)
                       : given.size() == 2 ? make(part(0), part(1) + 1, 0)
                                           : make(part(0), part(1), part(2) + 1);
  Version most = next;
  if (op == "^" && given.size() > 1) {
    if (part(0) > 0) {
      most = make(part(0) + 1, 0, 0);
    } else if (part(1) > 0 || given.size() == 2) {
      most = make(0, part(1) + 1, 0);
    }
  }
  if (op == "~" && given.size() > 1) most = make(part(0), part(1) + 1, 0);
  least.pre = pre;
  if (op == ">=") {
    bounds.push_back({Bound::Op::kAtLeast, least});
  } else if (op == "<") {
    bounds.push_back({Bound::Op::kLess, least});
  } else if (op == ">") {
    bounds.push_back({Bound::Op::kAtLeast, next});
  } else if (op == "<=") {
    bounds.push_back({Bound::Op::kLess, next});
  } else {
    bounds.push_back({Bound::Op::kAtLeast, least});
    bounds.push_back({Bound::Op::kLess, most});
  }
  return true;
}

std::optional<Range> Range::parse(std::string_view text) {
  if (text.size() > kRangeBytes || text::trim(text).empty()) return std::nullopt;
  Range range;
  range.text_ = text::trim(text);
  std::string_view rest = range.text_;
  for (;;) {
    const std::size_t bar = rest.find("||");
    std::string alternative(text::trim(rest.substr(0, bar)));
    if (alternative.empty()) return std::nullopt;
    std::replace(alternative.begin(), alternative.end(), ',', ' ');
    std::vector<Bound> bounds;
    std::string op;  // an operator may stand apart from its version
    for (const std::string_view word : text::split(alternative, ' ')) {
      if (word.empty()) continue;
      op += word;
      if (word.find_first_not_of("<>=^~") == std::string_view::npos) continue;
      if (!parse_comparator(op, bounds)) return std::nullopt;
      op.clear();
    }
    if (!op.empty()) return std::nullopt;
    range.alternatives_.push_back(std::move(bounds));
    if (bar == std::string_view::npos) return range;
    rest.remove_prefix(bar + 2);
  }
}

bool Range::contains(const Version& version) const {
  const auto holds = [&version](const Bound& bound) {
    const std::strong_ordering order = compare(version, bound.version);
    switch (bound.op) {
      case Bound::Op::kEqual: return order == 0;
      case Bound::Op::kLess: return order < 0;
      case Bound::Op::kAtMost: return order <= 0;
      case Bound::Op::kGreater: return order > 0;
      case Bound::Op::kAtLeast: return order >= 0;
    }
    return false;
  };
  const auto names_it = [&version](const Bound& bound) {
    return !bound.version.pre.empty() && bound.version.major == version.major && bound.version.minor == version.minor &&
           bound.version.patch == version.patch;
  };
  return std::any_of(alternatives_.begin(), alternatives_.end(), [&](const std::vector<Bound>& bounds) {
    if (!version.pre.empty() && std::none_of(bounds.begin(), bounds.end(), names_it)) return false;
    return std::all_of(bounds.begin(), bounds.end(), holds);
  });
}

}  // namespace ccrules::packs

#include "packs/seal.h"

#include <optional>

#include "core/digest.h"
#include "core/ed25519.h"
#include "core/text.h"

namespace ccrules::packs {
namespace {

constexpr std::string_view kKeyPrefix = "ed25519:";
constexpr std::string_view kKeyLine = "key ";
constexpr std::string_view kSignatureLine = "signature ";
constexpr std::size_t kShortKeyDigits = 16;

std::string to_hex(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += kHex[value >> 4U];
    out += kHex[value & 15U];
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view text, std::size_t bytes) {
  if (text.size() != 2 * bytes) return std::nullopt;
  std::string out;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

bool is_sealed(std::string_view path) { return path != kSumsFile && path != kSignatureFile; }

/// The first file that differs between what pack.sums says and what is there.
std::string difference(const Folder& folder, std::string_view listed) {
  Folder rest;
  for (const std::string_view line : text::split(listed, '\n')) {
    if (line.empty()) continue;
    const std::size_t gap = line.find("  ");
    if (gap == std::string_view::npos) return "it is not in the form sha256sum writes";
    rest[std::string(line.substr(gap + 2))] = line.substr(0, gap);
  }
  for (const auto& [path, bytes] : folder) {
    if (!is_sealed(path)) continue;
    const auto found = rest.find(path);
    if (found == rest.end()) return "'" + path + "' is not listed there";
    if (found->second != digest::sha256_hex(bytes)) return "'" + path + "' was changed";
    rest.erase(found);
  }
  if (!rest.empty()) return "'" + rest.begin()->first + "' is missing";
  return "its lines are not in order";
}

}  // namespace

std::string sums_of(const Folder& folder) {
  std::string out;
  for (const auto& [path, bytes] : folder) {
    if (is_sealed(path)) out += digest::sha256_hex(bytes) + "  " + path + "\n";
  }
  return out;
}

std::string identity_of(const Folder& folder) { return "sha256:" + digest::sha256_hex(sums_of(folder)); }

std::string key_text(std::string_view raw_key) { return std::string(kKeyPrefix) + to_hex(raw_key); }

Result<std::string> key_text_of_pem(std::string_view pem) {
  CCR_TRY(raw, ed25519::public_key(pem));
  return key_text(raw);
}

std::string short_key(std::string_view key) { return std::string(key.substr(0, kKeyPrefix.size() + kShortKeyDigits)); }

Result<Seal> check_seal(const Folder& folder) {
  const std::string sums = sums_of(folder);
  Seal seal;
  seal.identity = "sha256:" + digest::sha256_hex(sums);
  const auto listed = folder.find(kSumsFile);
  const auto signature = folder.find(kSignatureFile);
  if (listed != folder.end() && listed->second != sums) {
    return bad_request("the pack is not what pack.sums says: " + difference(folder, listed->second));
  }
  if (signature == folder.end()) return seal;
  if (listed == folder.end()) return bad_request("the pack has a signature (pack.sig) but no pack.sums");
  const auto lines = text::split(signature->second, '\n');
  std::optional<std::string> key;
  std::optional<std::string> signed_bytes;
  if (lines.size() == 3 && lines[2].empty() && lines[0].starts_with(kKeyLine) && lines[1].starts_with(kSignatureLine)) {
    const std::string_view named = lines[0].substr(kKeyLine.size());
    if (named.starts_with(kKeyPrefix)) key = from_hex(named.substr(kKeyPrefix.size()), ed25519::kKeyBytes);
    signed_bytes = from_hex(lines[1].substr(kSignatureLine.size()), ed25519::kSignatureBytes);
  }
  if (!key || !signed_bytes) return bad_request("pack.sig is not a signature as `ccrules pack sign` writes it");
  if (!ed25519::verify(sums, *signed_bytes, *key)) {
    return bad_request("the signature in pack.sig is not one of " + short_key(key_text(*key)) + " over these files");
  }
  seal.key = key_text(*key);
  return seal;
}

Result<void> sign(Folder& folder, std::string_view private_pem) {
  const std::string sums = sums_of(folder);
  CCR_TRY(signature, ed25519::sign(sums, private_pem));
  CCR_TRY(key, ed25519::public_key(private_pem));
  folder.insert_or_assign(std::string(kSumsFile), sums);
  folder.insert_or_assign(std::string(kSignatureFile), std::string(kKeyLine) + key_text(key) + "\n" + std::string(kSignatureLine) +
                                                           to_hex(signature) + "\n");
  return {};
}

Result<void> close_unsigned(Folder& folder) {
  if (folder.contains(kSignatureFile)) {
    const Result<Seal> seal = check_seal(folder);
    if (!seal.ok()) return bad_request(seal.error().message + "; sign it again (ccrules pack sign) or remove pack.sig");
  }
  folder.insert_or_assign(std::string(kSumsFile), sums_of(folder));
  return {};
}

}  // namespace ccrules::packs

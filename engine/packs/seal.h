#pragma once
#include <string>
#include <string_view>

#include "core/result.h"
#include "packs/folder.h"

/// What a pack's bytes are, and who vouches for them. `pack.sums` lists every file with its SHA-256, sorted by path, as
/// `sha256sum` writes and checks it; `pack.sig` is the Ed25519 signature of that text with the public key.
namespace ccrules::packs {

inline constexpr std::string_view kSumsFile = "pack.sums";
inline constexpr std::string_view kSignatureFile = "pack.sig";

/// The text of pack.sums: all files but pack.sums and pack.sig.
std::string sums_of(const Folder& folder);
/// "sha256:" and the hash of sums_of(): the pack's identity, signed or not.
std::string identity_of(const Folder& folder);

/// A public key as locks and messages write it: "ed25519:" and 64 hex digits.
std::string key_text(std::string_view raw_key);
/// The same from a PEM text.
Result<std::string> key_text_of_pem(std::string_view pem);
/// The first digits, for people to compare.
std::string short_key(std::string_view key_text);

struct Seal {
  std::string identity;  ///< identity_of()
  std::string key;       ///< key_text() of the signer; empty: not signed
};
/// Error when pack.sums does not list exactly what is there, names the file; or when pack.sig is no signature of it by the key
/// it names. Whether that key may be trusted is the caller's business.
Result<Seal> check_seal(const Folder& folder);

/// Adds (or renews) pack.sums and pack.sig. `private_pem`: as openssl makes it.
Result<void> sign(Folder& folder, std::string_view private_pem);
/// Adds (or renews) pack.sums; error when a signature is there that no longer fits.
Result<void> close_unsigned(Folder& folder);

}  // namespace ccrules::packs

#pragma once
#include <string>
#include <string_view>

#include "core/result.h"

/// Ed25519 signatures (RFC 8032). Pure; safe on any thread.
namespace ccrules::ed25519 {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kSignatureBytes = 64;

/// The raw public key in a PEM text as `openssl genpkey -algorithm ed25519` makes it: a public key, or a private one, which
/// holds it. Error: it is neither, is of another kind, or wants a passphrase.
Result<std::string> public_key(std::string_view pem);
/// 64 bytes. `private_pem` must hold a private key.
Result<std::string> sign(std::string_view message, std::string_view private_pem);
/// `key` is a raw public key. False for anything that is not the signature of `message`.
bool verify(std::string_view message, std::string_view signature, std::string_view key) noexcept;

}  // namespace ccrules::ed25519

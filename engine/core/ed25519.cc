#include "core/ed25519.h"

#include <limits>
#include <memory>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

namespace ccrules::ed25519 {
namespace {

struct Free {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

const unsigned char* bytes(std::string_view text) noexcept { return reinterpret_cast<const unsigned char*>(text.data()); }

/// Nobody is asked for a passphrase in the middle of a command.
int no_passphrase(char*, int, int, void*) { return -1; }

Owned<BIO> open(std::string_view pem) {
  if (pem.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return nullptr;
  return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Result<Owned<EVP_PKEY>> read_key(std::string_view pem, bool private_only) {
  Owned<EVP_PKEY> key;
  if (const Owned<BIO> bio = open(pem)) key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr && !private_only) {
    if (const Owned<BIO> bio = open(pem)) key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr));
  }
  ERR_clear_error();
  if (key == nullptr) {
    if (pem.find("ENCRYPTED") != std::string_view::npos) {
      return bad_request("the key is protected by a passphrase; take that off with `openssl pkey -in KEY -out PLAIN`");
    }
    return bad_request(private_only ? "this is no private key in PEM (make one with `openssl genpkey -algorithm ed25519`)"
                                    : "this is no key in PEM (make one with `openssl pkey -in KEY -pubout`)");
  }
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) {
    return bad_request("the key is not an Ed25519 key (make one with `openssl genpkey -algorithm ed25519`)");
  }
  return key;
}

}  // namespace

Result<std::string> public_key(std::string_view pem) {
  CCR_TRY(key, read_key(pem, false));
  std::string raw(kKeyBytes, '\0');
  std::size_t size = raw.size();
  if (EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(raw.data()), &size) != 1 || size != raw.size()) {
    ERR_clear_error();
    return bad_request("the key cannot be read");
  }
  return raw;
}

Result<std::string> sign(std::string_view message, std::string_view private_pem) {
  CCR_TRY(key, read_key(private_pem, true));
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  std::string signature(kSignatureBytes, '\0');
  std::size_t size = signature.size();
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes(message),
                     message.size()) != 1 ||
      size != kSignatureBytes) {
    ERR_clear_error();
    return internal_error("OpenSSL could not sign");
  }
  return signature;
}

bool verify(std::string_view message, std::string_view signature, std::string_view key) noexcept {
  if (signature.size() != kSignatureBytes || key.size() != kKeyBytes) return false;
  const Owned<EVP_PKEY> owned(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(key), key.size()));
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const bool good = owned != nullptr && context != nullptr &&
                    EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, owned.get()) == 1 &&
                    EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(message), message.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

}  // namespace ccrules::ed25519

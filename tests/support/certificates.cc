#include "support/certificates.h"

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace ccrules::test {
namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

void must(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("openssl: ") + what);
}

Key make_key() {
  Key key(EVP_EC_gen("P-256"));
  must(key != nullptr, "key");
  return key;
}

void extend(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
  must(extension != nullptr, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate begin(EVP_PKEY* key, const char* name, long serial, long valid_s) {
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), valid_s);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  return certificate;
}

void save(const std::string& path, X509* certificate, EVP_PKEY* key) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  must(file != nullptr, path.c_str());
  if (certificate != nullptr) PEM_write_X509(file, certificate);
  if (key != nullptr) PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
}

}  // namespace

struct Authority::Impl {
  std::string folder;
  Key key = make_key();
  Certificate certificate;
  long issued = 1;
};

Authority::Authority() : impl_(std::make_unique<Impl>()) {
  std::string pattern = (std::filesystem::temp_directory_path() / "ccrules-ca-XXXXXX").string();
  must(mkdtemp(pattern.data()) != nullptr, "temporary folder");
  impl_->folder = pattern;
  impl_->certificate = begin(impl_->key.get(), impl_->folder.c_str(), 1, 7200);
  X509* certificate = impl_->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  extend(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  extend(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  must(X509_sign(certificate, impl_->key.get(), EVP_sha256()) > 0, "sign");
  save(file(), certificate, nullptr);
}

Authority::~Authority() {
  std::error_code ignored;  // a folder that stays behind in the temporary folder harms nobody
  std::filesystem::remove_all(impl_->folder, ignored);
}

std::string Authority::file() const {
  return impl_->folder + "/ca.pem";
}

Authority::Files Authority::issue(const std::string& alt_name, long valid_s) {
  const Key key = make_key();
  const long serial = ++impl_->issued;
  const Certificate certificate = begin(key.get(), "ccrules test server", serial, valid_s);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(impl_->certificate.get()));
  extend(certificate.get(), impl_->certificate.get(), NID_subject_alt_name, alt_name.c_str());
  must(X509_sign(certificate.get(), impl_->key.get(), EVP_sha256()) > 0, "sign");
  Files files;
  files.certificate = impl_->folder + "/server" + std::to_string(serial) + ".pem";
  files.key = impl_->folder + "/server" + std::to_string(serial) + ".key";
  save(files.certificate, certificate.get(), nullptr);
  save(files.key, nullptr, key.get());
  return files;
}

}  // namespace ccrules::test

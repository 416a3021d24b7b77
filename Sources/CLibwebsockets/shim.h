#ifndef CLIBWEBSOCKETS_SHIM_H
#define CLIBWEBSOCKETS_SHIM_H

#include <libwebsockets.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

// The options are macros with shifts of long long, which Swift does not import.
static const uint64_t shim_context_options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME
    | LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
// The context's own SSL_CTX, made without a certificate: we give it one ourselves, and can give it another later.
static const uint64_t shim_tls_options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;

// A union member has to be set, and the type of adoption is a sum of enumerators.
static inline struct lws *shim_adopt(struct lws_context *context, int descriptor, void *opaque, int tls) {
    lws_adopt_desc_t info = { 0 };
    info.vh = lws_get_vhost_by_name(context, "default");
    info.type = (lws_adoption_type)(LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | (tls ? LWS_ADOPT_ALLOW_SSL : 0));
    info.fd.sockfd = descriptor;
    info.opaque = opaque;
    return lws_adopt_descriptor_vhost_via_info(&info);
}

// Accepts any chain at TLS's level: OpenSSL still checks that the client has the key. Who vouches for the chain is judged at each request.
static inline int shim_accept_any_chain(X509_STORE_CTX *store, void *argument) {
    (void)store;
    (void)argument;
    return 1;
}

// Several of these are macros over SSL_CTX_ctrl. No tickets and no cache: a resumed session would bring a certificate that is not shown again.
static inline void shim_set_policy(void *context, int asksClients, int requiresClients) {
    SSL_CTX *ctx = (SSL_CTX *)context;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384");
    if (asksClients) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (requiresClients ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
        SSL_CTX_set_cert_verify_callback(ctx, shim_accept_any_chain, NULL);
    }
}

// An SSL_CTX of its own, to try an identity on; a macro stands in the way of the method's name.
static inline void *shim_new_tls_context(void) { return SSL_CTX_new(TLS_server_method()); }
static inline void shim_free_tls_context(void *context) { SSL_CTX_free((SSL_CTX *)context); }

// The leaf, the chain and the key from PEM in memory, which libwebsockets takes for the leaf alone. Macros over SSL_CTX_ctrl again.
// Nothing is changed before all of it has been read. Returns 1 on success.
static inline int shim_use_identity(void *context, const void *certificates, int certificatesCount, const void *key, int keyCount) {
    SSL_CTX *ctx = (SSL_CTX *)context;
    BIO *certificateBIO = BIO_new_mem_buf(certificates, certificatesCount);
    BIO *keyBIO = BIO_new_mem_buf(key, keyCount);
    X509 *leaf = PEM_read_bio_X509(certificateBIO, NULL, NULL, NULL);
    EVP_PKEY *privateKey = PEM_read_bio_PrivateKey(keyBIO, NULL, NULL, (void *)"");
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *next;
    int result = 0;
    while ((next = PEM_read_bio_X509(certificateBIO, NULL, NULL, NULL))) sk_X509_push(chain, next);
    if (leaf && privateKey && X509_check_private_key(leaf, privateKey) == 1)
        result = SSL_CTX_use_cert_and_key(ctx, leaf, privateKey, chain, 1) == 1;
    ERR_clear_error();
    sk_X509_pop_free(chain, X509_free);
    EVP_PKEY_free(privateKey);
    X509_free(leaf);
    BIO_free(keyBIO);
    BIO_free(certificateBIO);
    return result;
}

// SSL_get0_peer_certificate is a newer name, and the chain is a typed stack, whose accessors are macros. Returns the length of the DER, 0 where
// there is no certificate of that index; OPENSSL_free is a macro too.
static inline int shim_peer_certificate(void *session, int index, unsigned char **der) {
    SSL *ssl = (SSL *)session;
    X509 *certificate = NULL;
    int length = 0;
    *der = NULL;
    if (index == 0) {
        certificate = SSL_get0_peer_certificate(ssl);
    } else {
        STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
        if (chain && index - 1 < sk_X509_num(chain)) certificate = sk_X509_value(chain, index - 1);
    }
    if (certificate) length = i2d_X509(certificate, der);
    return length > 0 ? length : 0;
}
static inline void shim_free(void *bytes) { OPENSSL_free(bytes); }

#endif

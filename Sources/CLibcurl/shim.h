#ifndef CLIBCURL_SHIM_H
#define CLIBCURL_SHIM_H

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdbool.h>

// Not linked but loaded when it is first needed: libcurl brings some 35 shared libraries, and a program's start would pay for them.
#define SHIM_CURL_FUNCTIONS(each) \
    each(global_init) each(easy_init) each(easy_cleanup) each(easy_strerror) each(easy_setopt) each(easy_getinfo) \
    each(slist_append) each(slist_free_all) \
    each(multi_init) each(multi_cleanup) each(multi_strerror) each(multi_setopt) each(multi_add_handle) each(multi_remove_handle) \
    each(multi_socket_action) each(multi_info_read)
struct shim_curl {
#define SHIM_CURL_FIELD(name) __typeof__(&curl_##name) name;
    SHIM_CURL_FUNCTIONS(SHIM_CURL_FIELD)
};
// False where the library or one of its functions is missing; dlerror says which.
static inline bool shim_load_curl(struct shim_curl *curl) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
#define SHIM_CURL_LOAD(name) \
    if (!(curl->name = (__typeof__(curl->name))dlsym(library, "curl_" #name))) return false;
    SHIM_CURL_FUNCTIONS(SHIM_CURL_LOAD)
    return true;
}

// curl_easy_setopt, curl_easy_getinfo and curl_multi_setopt are variadic, which Swift does not import: one wrapper a kind of value.
static inline CURLcode shim_set_long(const struct shim_curl *curl, CURL *easy, CURLoption option, long value) { return (curl->easy_setopt)(easy, option, value); }
static inline CURLcode shim_set_string(const struct shim_curl *curl, CURL *easy, CURLoption option, const char *value) { return (curl->easy_setopt)(easy, option, value); }
static inline CURLcode shim_set_pointer(const struct shim_curl *curl, CURL *easy, CURLoption option, void *value) { return (curl->easy_setopt)(easy, option, value); }
static inline CURLcode shim_set_list(const struct shim_curl *curl, CURL *easy, CURLoption option, struct curl_slist *value) { return (curl->easy_setopt)(easy, option, value); }
// Copies the bytes: the caller's memory is free afterwards.
static inline CURLcode shim_set_blob(const struct shim_curl *curl, CURL *easy, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = { (void *)bytes, count, CURL_BLOB_COPY };
    return (curl->easy_setopt)(easy, option, &blob);
}
// Copies the bytes; the size goes first, else curl takes them for a string.
static inline CURLcode shim_set_body(const struct shim_curl *curl, CURL *easy, const void *bytes, size_t count) {
    CURLcode code = (curl->easy_setopt)(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)count);
    return code != CURLE_OK ? code : (curl->easy_setopt)(easy, CURLOPT_COPYPOSTFIELDS, bytes);
}
typedef size_t (*shim_data_callback)(char *bytes, size_t size, size_t count, void *data);
static inline CURLcode shim_set_data_callback(const struct shim_curl *curl, CURL *easy, CURLoption option, shim_data_callback callback) {
    return (curl->easy_setopt)(easy, option, callback);
}
static inline CURLcode shim_get_long(const struct shim_curl *curl, CURL *easy, CURLINFO info, long *value) { return (curl->easy_getinfo)(easy, info, value); }
static inline CURLcode shim_get_pointer(const struct shim_curl *curl, CURL *easy, CURLINFO info, char **value) { return (curl->easy_getinfo)(easy, info, value); }

static inline CURLMcode shim_multi_set_long(const struct shim_curl *curl, CURLM *multi, CURLMoption option, long value) { return (curl->multi_setopt)(multi, option, value); }
static inline CURLMcode shim_multi_set_socket_callback(const struct shim_curl *curl, CURLM *multi, curl_socket_callback callback, void *data) {
    CURLMcode code = (curl->multi_setopt)(multi, CURLMOPT_SOCKETFUNCTION, callback);
    return code != CURLM_OK ? code : (curl->multi_setopt)(multi, CURLMOPT_SOCKETDATA, data);
}
static inline CURLMcode shim_multi_set_timer_callback(const struct shim_curl *curl, CURLM *multi, curl_multi_timer_callback callback, void *data) {
    CURLMcode code = (curl->multi_setopt)(multi, CURLMOPT_TIMERFUNCTION, callback);
    return code != CURLM_OK ? code : (curl->multi_setopt)(multi, CURLMOPT_TIMERDATA, data);
}

// The result of a message stands in a union; NULL when there is no finished transfer left.
static inline CURL *shim_next_finished(const struct shim_curl *curl, CURLM *multi, CURLcode *result) {
    int left;
    CURLMsg *message;
    while ((message = (curl->multi_info_read)(multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return message->easy_handle;
        }
    return NULL;
}

#endif

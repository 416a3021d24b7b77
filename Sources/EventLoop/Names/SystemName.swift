internal import CLibuv
internal import Glibc

/// What this machine calls itself.
package enum SystemName {
    package static var processIdentifier: Int32 { getpid() }

    package static func hostname() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// The environment that this process was started with.
package enum ProcessEnvironment {
    package static func value(_ name: String) -> String? {
        guard let text = unsafe getenv(name) else { return nil }
        return unsafe String(validatingCString: text)
    }

    /// Every variable whose value is a text.
    package static var all: [(name: String, value: String)] {
        var items: UnsafeMutablePointer<uv_env_item_t>?
        var count: CInt = 0
        guard unsafe uv_os_environ(&items, &count) == 0 else { return [] }
        defer { unsafe uv_os_free_environ(items, count) }
        return unsafe UnsafeBufferPointer(start: items, count: Int(count)).compactMap { item in
            guard let name = unsafe String(validatingCString: item.name), let value = unsafe String(validatingCString: item.value) else {
                return nil
            }
            return (name, value)
        }
    }
}

package import Base

/// A key of the store: names joined by `/`, as in `users/alice` or `nodes/east/5c1f…`.
///
/// A key is a prefix of another where its names are the first names of the other: `users` is one of `users/alice`, not of `users2/alice`.
package struct StoreKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The most bytes a whole key may have; etcd and SQLite take more, people do not.
    package static let bytesMax = 1024

    package let text: String

    /// A key of names that stand in the source: a mistake in them is ours.
    package init(_ names: StaticString...) {
        precondition(!names.isEmpty && names.allSatisfy { StoreKey.isName("\($0)") }, "a store key has names without slashes")
        text = names.map { "\($0)" }.joined(separator: "/")
    }

    /// A key as stores keep it.
    ///
    /// - Throws: `BadParameter` where it is empty, too long, or one of its names is empty or has control characters.
    package init(text: String) throws(TeleportError) {
        guard text.utf8.count <= StoreKey.bytesMax,
            text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(StoreKey.isName)
        else { throw .badParameter("not a key of the store: \(String(reflecting: text))") }
        self.text = text
    }

    private init(unchecked text: String) {
        self.text = text
    }

    /// This key with one more name, which may come from outside.
    ///
    /// - Throws: `BadParameter` where the name is empty or has a slash or a control character, or the key becomes too long.
    package func appending(_ name: String) throws(TeleportError) -> StoreKey {
        guard StoreKey.isName(name), text.utf8.count + 1 + name.utf8.count <= StoreKey.bytesMax else {
            throw .badParameter("not a name that can be stored: \(String(reflecting: name))")
        }
        return StoreKey(unchecked: text + "/" + name)
    }

    /// The last name.
    package var name: String {
        text.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(text[text.utf8.index(after: $0)...]) } ?? text
    }

    /// Whether `key` lies under this one; a key does not lie under itself.
    package func isPrefix(of key: StoreKey) -> Bool {
        key.text.utf8.count > text.utf8.count && key.text.utf8.starts(with: rangeStart.utf8)
    }

    /// The first text that a key under this one may have, and the first after them all.
    package var rangeStart: String { text + "/" }
    package var rangeEnd: String { text + "0" }

    package var description: String { text }

    /// The order of the bytes, as stores sort.
    package static func < (left: StoreKey, right: StoreKey) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    package static func == (left: StoreKey, right: StoreKey) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        for byte in text.utf8 { hasher.combine(byte) }
    }

    private static func isName(_ name: some StringProtocol) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "/") }
    }
}

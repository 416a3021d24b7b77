/// How often each of a few kinds of something has happened.
package struct Tally<Kind: RawRepresentable & CaseIterable & Hashable & Sendable>: Sendable where Kind.RawValue == String {
    private var counts: [Kind: UInt64] = [:]

    package init() {}

    package mutating func count(_ kind: Kind) {
        counts[kind, default: 0] += 1
    }

    package subscript(kind: Kind) -> UInt64 { counts[kind] ?? 0 }
}

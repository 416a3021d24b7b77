/// What a line of `ls -l` begins with.
package enum SFTPListing {
    private static let kinds: [UInt32: Character] = [
        0o040000: "d", 0o100000: "-", 0o120000: "l", 0o020000: "c", 0o060000: "b", 0o010000: "p", 0o140000: "s",
    ]
    private static let setUser: UInt32 = 0o4000
    private static let setGroup: UInt32 = 0o2000
    private static let sticky: UInt32 = 0o1000

    /// `drwxr-sr-t` of a `st_mode`.
    package static func modeText(_ mode: UInt32) -> String {
        func triple(_ bits: UInt32, _ special: Bool, _ letter: String) -> String {
            let execute =
                switch (bits & 1 != 0, special) {
                case (true, true): letter
                case (false, true): letter.uppercased()
                case (true, false): "x"
                case (false, false): "-"
                }
            return (bits & 4 != 0 ? "r" : "-") + (bits & 2 != 0 ? "w" : "-") + execute
        }
        return String(kinds[mode & SFTPAttributes.Kind.mask] ?? "?") + triple(mode >> 6 & 7, mode & setUser != 0, "s")
            + triple(mode >> 3 & 7, mode & setGroup != 0, "s") + triple(mode & 7, mode & sticky != 0, "t")
    }
}

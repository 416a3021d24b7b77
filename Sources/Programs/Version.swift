internal import Base
internal import Glibc

/// What this build is.
package enum Version {
    /// Semantic version of the three programs.
    package static let number = "0.1.0"

    /// `Teleport vX.Y.Z git:HASH`.
    package static var line: String { "Teleport v\(number) git:\(revision ?? "unknown")" }

    /// The commit this program was built from: the linker was given it as the build ID (`make build` does), so that a new commit
    /// means a new link and no new compilation.
    private static var revision: String? {
        let image = beginningOfExecutable()
        guard let identifier = buildID(image), identifier.count == revisionBytes + mark.count, identifier.suffix(mark.count) == mark[...]
        else {
            return nil
        }
        return String(Hex.encode(identifier).prefix(12))
    }

    /// A commit's SHA-1.
    private static let revisionBytes = 20
    /// Behind it, so that no linker's own ID is taken for a commit: `git`.
    private static let mark: [UInt8] = Array("git".utf8)

    /// Headers and notes stand at a program's beginning.
    private static func beginningOfExecutable() -> [UInt8] {
        let descriptor = unsafe open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var image = [UInt8](repeating: 0, count: 4096)
        let count = unsafe image.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        return Array(image.prefix(max(0, count)))
    }

    /// The `NT_GNU_BUILD_ID` note of a 64-bit little-endian program (elf(5)).
    private static func buildID(_ image: [UInt8]) -> [UInt8]? {
        func number(_ offset: Int, bytes: Int) -> Int? {
            guard offset >= 0, offset + bytes <= image.count else { return nil }
            return image[offset..<offset + bytes].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        let noteSegment = 4
        let buildIDNote = 3
        guard let headers = number(32, bytes: 4), let headerBytes = number(54, bytes: 2), let count = number(56, bytes: 2) else {
            return nil
        }
        for header in (0..<count).map({ headers + $0 * headerBytes }) {
            guard number(header, bytes: 4) == noteSegment, var note = number(header + 8, bytes: 4), let size = number(header + 32, bytes: 4)
            else {
                continue
            }
            let end = note + size
            while note < end {
                guard let nameBytes = number(note, bytes: 4), let bytes = number(note + 4, bytes: 4), let type = number(note + 8, bytes: 4)
                else {
                    break
                }
                let start = note + 12 + (nameBytes + 3) / 4 * 4
                guard start + bytes <= image.count else { break }
                if type == buildIDNote { return Array(image[start..<start + bytes]) }
                note = start + (bytes + 3) / 4 * 4
            }
        }
        return nil
    }
}

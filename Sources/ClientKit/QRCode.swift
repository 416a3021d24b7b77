internal import CQRencode

/// A text as a QR code for a terminal.
package enum QRCode {
    /// Half blocks, two rows of modules a line, dark on light by inverse video, with the quiet zone of four modules (ISO/IEC 18004 §6.3.8).
    ///
    /// - Returns: nil for a text that no QR code holds.
    package static func text(_ text: String) -> String? {
        guard let (modules, width) = modules(text) else { return nil }
        func isDark(_ row: Int, _ column: Int) -> Bool {
            (0..<width).contains(row) && (0..<width).contains(column) && modules[row * width + column]
        }
        let quietZone = 4
        var lines: [String] = []
        for row in stride(from: -quietZone, to: width + quietZone, by: 2) {
            var line = "\u{1b}[30;47m"
            for column in -quietZone..<width + quietZone {
                switch (isDark(row, column), isDark(row + 1, column)) {
                case (true, true): line += "█"
                case (true, false): line += "▀"
                case (false, true): line += "▄"
                case (false, false): line += " "
                }
            }
            lines.append(line + "\u{1b}[0m")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Whether each module is dark, row by row.
    private static func modules(_ text: String) -> (modules: [Bool], width: Int)? {
        guard let code = unsafe QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L) else { return nil }
        defer { unsafe QRcode_free(code) }
        let width = Int(unsafe code.pointee.width)
        guard let data = unsafe code.pointee.data else { return nil }
        let isDarkBit: UInt8 = 1
        return (unsafe UnsafeBufferPointer(start: data, count: width * width).map { $0 & isDarkBit != 0 }, width)
    }
}

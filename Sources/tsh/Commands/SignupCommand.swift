import ArgumentParser
import AuthAPI
import Base
import ClientKit
import EventLoop
import Programs

struct SignupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "signup", abstract: "Takes up an invitation: choose a password, and enrol a device for one-time codes.",
        discussion: """
            The URL is what `tctl users add` printed; it is good once. A script passes --password-file=FILE and --otp=-, reads the \
            otpauth URI from stdout and answers with the code on stdin.

            Example: tsh signup https://proxy.example.com:3080/web/newuser/3f2a…
            """)
    @OptionGroup var client: ClientOptions
    @OptionGroup var trust: TrustOptions
    @OptionGroup var secrets: SecretOptions
    @Argument(help: "The one-time URL.") var url: String

    func run() throws {
        let url = try SignupURL(url)
        let trust: ProxyWeb.Trust = client.insecure ? .anybody : trust.caPin.map { .pin($0) } ?? .system
        let (passwordFile, otp) = (secrets.passwordFile, secrets.otp)
        try Program.onLoop { loop in
            // The description is given once: all that can fail before it does so.
            let web = try await ProxyWeb(url.server, trust: trust, on: loop)
            _ = try await web.ping()
            guard otp != nil || LocalTerminal(descriptor: 0) != nil else {
                throw TeleportError.badParameter("stdin is no terminal, so that nothing can be asked for; use --otp=-")
            }
            let password = try await loop.work { try SecretOptions.password(file: passwordFile, isNew: true) }
            let description = try await web.auth.describeSignup(token: url.token)
            try await loop.work { try Self.show(description) }
            let code = try await loop.work { try SecretOptions.code(otp) }
            try await web.auth.completeSignup(SignupRequest(token: url.token, password: password, code: code))
            print(
                "\(description.user) is a user of \(description.cluster); log in with `tsh login --proxy=\(url.server) --user=\(description.user)`"
            )
        }
    }

    /// At once and not through a buffer: somebody waits for it.
    private static func show(_ description: SignupDescription) throws(TeleportError) {
        var text = "You are signing up as \(description.user) at \(description.cluster).\n"
        if LocalTerminal(descriptor: 1) != nil, let code = QRCode.text(description.otpURI) {
            text += "Scan this with the app that makes one-time codes, or type in the secret \(description.otpSecret):\n\n\(code)\n"
        }
        text += "\(description.otpURI)\n"
        try FileIO.write(Array(text.utf8), descriptor: 1)
    }
}

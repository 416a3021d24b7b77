import ArgumentParser
import Config
import Programs

struct ConfigureCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "configure", abstract: "Prints a commented sample teleport.yaml.",
        discussion: "Example: teleport configure > /etc/teleport.yaml")
    @OptionGroup var debugging: DebugOption

    func run() {
        print(ConfigSample.text, terminator: "")
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Prints the version.", discussion: "Example: teleport version")
    @OptionGroup var debugging: DebugOption

    func run() {
        print(Version.line)
    }
}

struct DebugOption: ParsableArguments {
    @Flag(name: [.customShort("d"), .long], help: "Log decisions too, and print the chain of causes of an error.")
    var debug = false
}

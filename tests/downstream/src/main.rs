fn main() -> std::process::ExitCode {
    staleproof::main(downstream::registry())
}

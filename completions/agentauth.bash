# agentauth completions for bash. Written by .ci/pages.py from the command line.
_agentauth() {
    local word path="" words="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $word == -* ]] && continue
        case "$path" in
            "") path=$word ;;
            "budget"|"lease"|"audit"|"apikey"|"source"|"policy"|"configure"|"bootstrap"|"ledger") path="$path $word" ;;
        esac
    done
    case "$path" in
        "") words="version init login logout whoami vend exec check explain status doctor demo disable enable budget lease audit apikey source policy configure bootstrap ledger --debug --no-color --version --help" ;;
        "version") words="--help" ;;
        "init") words="--tool --resource --account --region --source --env --example --json --help" ;;
        "login") words="--issuer --device --token-stdin --api-key-stdin --identity --json --help" ;;
        "logout") words="--identity --all --json --help" ;;
        "whoami") words="--identity --json --help" ;;
        "vend") words="--env --identity --resource --duration --format --estimate-tokens --estimate-cost --model --reason --dry-run --reveal --json --help" ;;
        "exec") words="--env --identity --resource --duration --estimate-tokens --estimate-cost --model --reason --inherit --clean --no-mask --json --help" ;;
        "check") words="--env --identity --action --resource --duration --estimate-tokens --estimate-cost --model --reason --principal --group --claim --kind --auth --at --request --quiet --json --help" ;;
        "explain") words="--env --identity --action --resource --duration --estimate-tokens --estimate-cost --model --reason --principal --group --claim --kind --auth --at --request --quiet --json --help" ;;
        "status") words="--identity --json --help" ;;
        "doctor") words="--json --help" ;;
        "demo") words="--keep --help" ;;
        "disable") words="--tool --provider --principal --environment --all --reason --until --revoke --with-others --force --json --help" ;;
        "enable") words="--tool --provider --principal --environment --all --reason --json --help" ;;
        "budget") words="record prices sync show --help" ;;
        "budget record") words="--tokens --cost --model --usage-json --identity --json --help" ;;
        "budget prices") words="--update --json --help" ;;
        "budget sync") words="--env --json --help" ;;
        "budget show") words="--json --help" ;;
        "lease") words="list show revoke --help" ;;
        "lease list") words="--json --help" ;;
        "lease show") words="--json --help" ;;
        "lease revoke") words="--with-others --reason --json --help" ;;
        "audit") words="tail verify --help" ;;
        "audit tail") words="-n --json --help" ;;
        "audit verify") words="--json --help" ;;
        "apikey") words="create list revoke --help" ;;
        "apikey create") words="--kind --group --expires --store --json --help" ;;
        "apikey list") words="--json --help" ;;
        "apikey revoke") words="--reason --json --help" ;;
        "source") words="add list remove --help" ;;
        "source add") words="--env --json --help" ;;
        "source list") words="--json --help" ;;
        "source remove") words="--env --json --help" ;;
        "policy") words="lint test fmt schema --help" ;;
        "policy lint") words="--json --help" ;;
        "policy test") words="--coverage --junit --json --help" ;;
        "policy fmt") words="--check --json --help" ;;
        "policy schema") words="--help" ;;
        "configure") words="aws github --help" ;;
        "configure aws") words="--env --profile --print --remove --json --help" ;;
        "configure github") words="--env --print --json --help" ;;
        "bootstrap") words="aws gcp openai huggingface --help" ;;
        "bootstrap aws") words="--env --format --help" ;;
        "bootstrap gcp") words="--env --format --help" ;;
        "bootstrap openai") words="--env --help" ;;
        "bootstrap huggingface") words="--env --help" ;;
        "ledger") words="reset --help" ;;
        "ledger reset") words="--reason --json --help" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _agentauth agentauth

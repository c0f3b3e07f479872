# Made by scripts/generate-completions.ts from the table of commands; do not edit.
_corvo() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local path='' words='' flags='' values='' word skip='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -n $skip ]]; then [[ $word == '=' ]] && continue; skip=''; continue; fi
    case $word in
      --) return ;;
      --server|--api-key|--bind|--data-dir|--shards|--workers|--work|--join|--token|--expect|--peer-bind|--peer-advertise|--advertise-url|--cluster-secret|--also-accept-secret|--peer-tls-cert|--peer-tls-key|--peer-tls-ca|--retention|--retention-count|--retention-dead|--retention-dead-count|--events-max|--events-size|--events-retention|--max-payload-size|--compress-above|--max-body-size|--blob-bytes-max|--blob-grace|--disk-budget|--min-free-disk|--webhook-allow|--cache-jobs|--log-tail|--shutdown-timeout|--log-format|--log-level|--timeout|--file|--payload-file|--priority|--delay|--expire-after|--deadline|--max-retries|--retry-backoff|--retry-base-delay|--retry-max-delay|--retry-jitter|--retry-jitter-mode|--retry-for|--no-retry-on|--max-lost-leases|--max-snoozes|--dead-queue|--tags|--tag|--limit-key|--limit-cost|--resources|--resource|--fifo-key|--group|--callback-url|--callback-secret|--callback-headers|--requires|--require|--payload-base64|--payload-blob|--content-type|--scheduled-at|--unique-key|--unique-period|--unique-scope|--on-conflict|--debounce|--debounce-max|--throttle|--singleton|--merge|--checkpoint|--parent-id|--batch-id|--depends-on|--on-dependency-failure|--chain|--idempotency-key|--concurrency|-c|--kill-after|--grace|--lease|--label|--worker-id|--queue|--state|--payload-contains|--error-contains|--payload-jq|--created-after|--created-before|--scheduled-after|--scheduled-before|--started-after|--started-before|--completed-after|--completed-before|--expire-before|--attempt-min|--attempt-max|--chain-id|--error-group|--job-id-prefix|--sort|--order|--limit|--cursor|--filter|--to|--reason|--max|--keep|--rate|--to-queue|--key|--rate-kind|--burst|--weight|--backlog|--for|--until|--name|--on-success|--on-failure|--on-complete|--seal-after|--status|--cron|--zone|--every|--start|--end|--overlap|--catch-up|--catch-up-window|--jitter|--max-runs|--prefix|--count|--id|--events|--event|--queues|--secret|--retry-limit|--job-id|--scheme|--tolerance|--id-header|--tag-headers|--tag-header|--mode|--min-interval|--ttl|--type|--job|--after|--last|--yes-i-lose-data|--dir|--duration|--warmup|--repeat|--connections|--batch|--frames|--payload|--jobs|--parked|--samples|--keys|--groups|--beside) skip=1; continue ;;
      -*) continue ;;
    esac
    case "${path:+$path }$word" in
      'server'|'server drain'|'enqueue'|'worker'|'jobs'|'jobs list'|'jobs search'|'jobs tree'|'jobs get'|'jobs log'|'jobs dead'|'jobs wait'|'jobs retry'|'jobs cancel'|'jobs delete'|'jobs payload'|'jobs result'|'jobs move'|'jobs requeue'|'jobs priority'|'jobs hold'|'jobs approve'|'jobs reject'|'queue'|'queue list'|'queue get'|'queue pause'|'queue resume'|'queue drain'|'queue undrain'|'queue defaults'|'queue bytes'|'queue blocked'|'queue redrive'|'queue clear'|'queue delete'|'limit'|'limit set'|'limit list'|'limit show'|'limit remove'|'limit pause'|'limit resume'|'batch'|'batch create'|'batch add'|'batch seal'|'batch status'|'batch list'|'batch cancel'|'bulk'|'bulk list'|'bulk show'|'bulk cancel'|'schedule'|'schedule set'|'schedule list'|'schedule show'|'schedule preview'|'schedule run'|'schedule pause'|'schedule resume'|'schedule delete'|'webhook'|'webhook set'|'webhook list'|'webhook show'|'webhook test'|'webhook deliveries'|'webhook redeliver'|'webhook pause'|'webhook enable'|'webhook delete'|'webhook incoming'|'webhook incoming set'|'webhook incoming list'|'webhook incoming delete'|'subscription'|'subscription set'|'subscription list'|'subscription renew'|'subscription delete'|'workers'|'workers list'|'workers quiet'|'workers stop'|'workers resume'|'cluster'|'cluster status'|'cluster token'|'cluster remove'|'cluster transfer-leader'|'cluster snapshot'|'cluster promote'|'cluster demote'|'explain'|'events'|'status'|'backup'|'restore'|'recover'|'bench'|'version'|'completion') path="${path:+$path }$word" ;;
    esac
  done
  if [[ $current == '=' ]]; then current=''; elif [[ $previous == '=' ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi
  case "$path|$previous" in
    'server|--log-format') values='human json' ;;
    'server|--log-level') values='debug info warn error' ;;
    'enqueue|--retry-backoff') values='none fixed linear exponential' ;;
    'enqueue|--retry-jitter-mode') values='additive full equal' ;;
    'enqueue|--unique-scope') values='waiting done period' ;;
    'enqueue|--on-conflict') values='existing reject replace keep_last cancel' ;;
    'enqueue|--singleton') values='skip cancel' ;;
    'enqueue|--merge') values='shallow append' ;;
    'enqueue|--on-dependency-failure') values='fail wait ignore' ;;
    'jobs list|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs list|--sort') values='created_at priority started_at completed_at attempt' ;;
    'jobs list|--order') values='asc desc' ;;
    'jobs retry|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs cancel|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs delete|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs move|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs requeue|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs priority|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs hold|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs approve|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'jobs reject|--state') values='pending scheduled active retrying completed dead cancelled held' ;;
    'queue defaults|--retry-backoff') values='none fixed linear exponential' ;;
    'queue defaults|--retry-jitter-mode') values='additive full equal' ;;
    'limit set|--rate-kind') values='token sliding leaky' ;;
    'batch add|--retry-backoff') values='none fixed linear exponential' ;;
    'batch add|--retry-jitter-mode') values='additive full equal' ;;
    'batch add|--unique-scope') values='waiting done period' ;;
    'batch add|--on-conflict') values='existing reject replace keep_last cancel' ;;
    'batch add|--singleton') values='skip cancel' ;;
    'batch add|--merge') values='shallow append' ;;
    'batch add|--on-dependency-failure') values='fail wait ignore' ;;
    'batch list|--state') values='open running cancelling completed failed cancelled' ;;
    'bulk list|--status') values='running completed failed cancelled' ;;
    'schedule set|--overlap') values='allow skip buffer cancel' ;;
    'schedule set|--catch-up') values='latest none all' ;;
    'schedule set|--retry-backoff') values='none fixed linear exponential' ;;
    'schedule set|--retry-jitter-mode') values='additive full equal' ;;
    'schedule set|--unique-scope') values='waiting done period' ;;
    'schedule set|--on-conflict') values='existing reject replace keep_last cancel' ;;
    'schedule set|--singleton') values='skip cancel' ;;
    'schedule set|--merge') values='shallow append' ;;
    'webhook deliveries|--state') values='waiting delivered failed' ;;
    'webhook incoming set|--scheme') values='none github stripe standard corvo' ;;
    'subscription set|--mode') values='fanout group hash' ;;
    'server|--data-dir'|'server|--peer-tls-cert'|'server|--peer-tls-key'|'server|--peer-tls-ca'|'enqueue|--file'|'enqueue|--payload-file'|'restore|--data-dir'|'recover|--data-dir'|'bench|--dir') COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
    return
  fi
  case "$path" in
    '') words='server enqueue worker jobs queue limit batch bulk schedule webhook subscription workers cluster explain events status backup restore recover bench version completion'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'server') words='drain'; flags='--bind --data-dir --shards --workers --work --join --token --expect --peer-bind --peer-advertise --advertise-url --cluster-secret --also-accept-secret --peer-tls-cert --peer-tls-key --peer-tls-ca --retention --retention-count --retention-dead --retention-dead-count --no-text-index --events-max --events-size --events-retention --require-lease-token --max-payload-size --compress-above --max-body-size --blob-bytes-max --blob-grace --disk-budget --min-free-disk --webhook-allow --cache-jobs --log-tail --shutdown-timeout --log-format --log-level --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'server drain') words=''; flags='--timeout --undo --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'enqueue') words=''; flags='--file --payload-file --dry-run --priority --delay --expire-after --deadline --max-retries --retry-backoff --retry-base-delay --retry-max-delay --retry-jitter --retry-jitter-mode --retry-for --no-retry-on --max-lost-leases --max-snoozes --timeout --dead-queue --tags --limit-key --limit-cost --resources --fifo-key --group --callback-url --callback-secret --callback-headers --requires --payload-base64 --payload-blob --content-type --scheduled-at --unique-key --unique-period --unique-scope --on-conflict --debounce --debounce-max --throttle --singleton --merge --checkpoint --parent-id --cascade-cancel --batch-id --depends-on --on-dependency-failure --chain --idempotency-key --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'worker') words=''; flags='--concurrency --persistent --timeout --kill-after --grace --lease --drain --label --worker-id --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs') words='list search tree get log dead wait retry cancel delete payload result move requeue priority hold approve reject'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs list') words=''; flags='--queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --sort --order --limit --cursor --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs search') words=''; flags='--limit --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs tree') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs get') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs log') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs dead') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs wait') words=''; flags='--timeout --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs retry') words=''; flags='--all --dry-run --background --yes --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs cancel') words=''; flags='--all --dry-run --background --yes --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs delete') words=''; flags='--all --dry-run --background --yes --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs payload') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs result') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs move') words=''; flags='--all --dry-run --background --yes --to --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs requeue') words=''; flags='--all --dry-run --background --yes --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs priority') words=''; flags='--all --dry-run --background --yes --to --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs hold') words=''; flags='--all --dry-run --background --yes --reason --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs approve') words=''; flags='--all --dry-run --background --yes --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'jobs reject') words=''; flags='--all --dry-run --background --yes --reason --filter --queue --state --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue') words='list get pause resume drain undrain defaults bytes blocked redrive clear delete'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue list') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue get') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue pause') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue resume') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue drain') words=''; flags='--wait --timeout --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue undrain') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue defaults') words=''; flags='--max-retries --retry-backoff --retry-base-delay --retry-max-delay --retry-jitter --retry-jitter-mode --retry-for --no-retry-on --max-lost-leases --max-snoozes --timeout --dead-queue --remove --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue bytes') words=''; flags='--max --keep --remove --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue blocked') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue redrive') words=''; flags='--rate --to-queue --filter --priority --tags --payload-contains --error-contains --payload-jq --created-after --created-before --scheduled-after --scheduled-before --started-after --started-before --completed-after --completed-before --expire-after --expire-before --attempt-min --attempt-max --unique-key --worker-id --parent-id --batch-id --chain-id --has-errors --error-group --job-id-prefix --wait --status --cancel --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue clear') words=''; flags='--yes --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'queue delete') words=''; flags='--yes --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'limit') words='set list show remove pause resume'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'limit set') words=''; flags='--queue --resource --key --each-key --group --each-group --concurrency --rate --rate-kind --burst --weight --backlog --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'limit list') words=''; flags='--queue --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'limit show') words=''; flags='--queue --resource --key --each-key --group --each-group --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'limit remove') words=''; flags='--queue --resource --key --each-key --group --each-group --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'limit pause') words=''; flags='--queue --resource --key --for --until --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'limit resume') words=''; flags='--queue --resource --key --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'batch') words='create add seal status list cancel'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'batch create') words=''; flags='--name --on-success --on-failure --on-complete --seal-after --idempotency-key --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'batch add') words=''; flags='--priority --delay --expire-after --deadline --max-retries --retry-backoff --retry-base-delay --retry-max-delay --retry-jitter --retry-jitter-mode --retry-for --no-retry-on --max-lost-leases --max-snoozes --timeout --dead-queue --tags --limit-key --limit-cost --resources --fifo-key --group --callback-url --callback-secret --callback-headers --requires --payload-base64 --payload-blob --content-type --scheduled-at --unique-key --unique-period --unique-scope --on-conflict --debounce --debounce-max --throttle --singleton --merge --checkpoint --parent-id --cascade-cancel --depends-on --on-dependency-failure --chain --idempotency-key --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'batch seal') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'batch status') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'batch list') words=''; flags='--state --limit --cursor --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'batch cancel') words=''; flags='--reason --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'bulk') words='list show cancel'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'bulk list') words=''; flags='--status --limit --cursor --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'bulk show') words=''; flags='--wait --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'bulk cancel') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule') words='set list show preview run pause resume delete'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule set') words=''; flags='--cron --zone --every --start --end --overlap --catch-up --catch-up-window --jitter --max-runs --priority --delay --expire-after --deadline --max-retries --retry-backoff --retry-base-delay --retry-max-delay --retry-jitter --retry-jitter-mode --retry-for --no-retry-on --max-lost-leases --max-snoozes --timeout --dead-queue --tags --limit-key --limit-cost --resources --fifo-key --group --callback-url --callback-secret --callback-headers --requires --payload-base64 --payload-blob --content-type --unique-key --unique-period --unique-scope --on-conflict --debounce --debounce-max --throttle --singleton --merge --checkpoint --chain --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule list') words=''; flags='--prefix --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule show') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule preview') words=''; flags='--cron --zone --every --start --end --count --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule run') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule pause') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule resume') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'schedule delete') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook') words='set list show test deliveries redeliver pause enable delete incoming'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook set') words=''; flags='--id --events --queues --tags --secret --retry-limit --disabled --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook list') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook show') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook test') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook deliveries') words=''; flags='--state --job-id --limit --cursor --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook redeliver') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook pause') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook enable') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook delete') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook incoming') words='set list delete'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook incoming set') words=''; flags='--scheme --secret --tolerance --id-header --tag-headers --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook incoming list') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'webhook incoming delete') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'subscription') words='set list renew delete'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'subscription set') words=''; flags='--id --mode --group --min-interval --ttl --secret --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'subscription list') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'subscription renew') words=''; flags='--ttl --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'subscription delete') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'workers') words='list quiet stop resume'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'workers list') words=''; flags='--queue --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'workers quiet') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'workers stop') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'workers resume') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'cluster') words='status token remove transfer-leader snapshot promote demote'; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'cluster status') words=''; flags='--watch --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'cluster token') words=''; flags='--cluster-secret --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'cluster remove') words=''; flags='--yes --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'cluster transfer-leader') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'cluster snapshot') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'cluster promote') words=''; flags='--yes --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'cluster demote') words=''; flags='--yes --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'explain') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'events') words=''; flags='--follow --queue --type --job --after --last --limit --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'status') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'backup') words=''; flags='--queue --force --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'restore') words=''; flags='--data-dir --new-ids --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'recover') words=''; flags='--data-dir --unsafe --yes-i-lose-data --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'bench') words=''; flags='--list --dir --duration --warmup --repeat --connections --batch --frames --concurrency --payload --jobs --parked --backlog --samples --keys --groups --beside --batched-acks --server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'version') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
    'completion') words=''; flags='--server --api-key --json --quiet --no-color --verbose --help --version' ;;
  esac
  if [[ $current == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $words ]]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [[ $current == @* ]]; then COMPREPLY=($(compgen -P @ -f -- "${current#@}"))
  fi
}
complete -F _corvo corvo

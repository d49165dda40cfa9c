#!/bin/bash
# Starts Ray across an allocation of SLURM, runs Bloomery on it, and ends it.
#
#   sbatch --nodes=4 --cpus-per-task=16 --gres=gpu:8 slurm.sh my.yaml [section.key=value]...
#
# `bloomery` and `ray` must be on the PATH of every node, and the work directory a URL or a folder that all nodes share.
# Before the time limit and on pre-emption the run saves and the job is put back into the queue: it then resumes. A lost
# node does not end the job (--no-kill); if it was the first node, SLURM puts the job back into the queue.
# Training uses all nodes; with cluster.beam.runner=ray the data stages do, too (otherwise they run on the first).
#SBATCH --job-name=bloomery
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -uo pipefail
[ $# -gt 0 ] || { echo "usage: sbatch [options] slurm.sh CONFIG [section.key=value]..." >&2; exit 2; }
start_s=${BLOOMERY_START_S:-300}

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# several jobs may share a node: each has ports, a folder and a token of its own. The ports of Ray's agents are named too:
# otherwise a raylet waits for them, 15 s at most, which is too short on a busy node
number=$((2 * (SLURM_JOB_ID % 500)))
port=$((15000 + number))
agent_ports() {
    echo "--metrics-export-port=$((11000 + $1))" "--dashboard-agent-listen-port=$((12000 + $1))" \
        "--dashboard-agent-grpc-port=$((13000 + $1))" "--runtime-env-agent-port=$((14000 + $1))"
}
folder=${BLOOMERY_RAY_FOLDER:-/tmp}/bl-$SLURM_JOB_ID
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0 PYTHONSAFEPATH=1
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | base64 | tr -d '/+=\n')
export RAY_AUTH_TOKEN
# not what the name resolves to, which may be 127.0.1.1; BLOOMERY_HEAD_ADDRESS selects another interface
address=${BLOOMERY_HEAD_ADDRESS:-$(srun --overlap --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname -I | cut -d' ' -f1)}
options=(--block --disable-usage-stats --num-cpus="${SLURM_CPUS_PER_TASK:-1}" --min-worker-port=0 --max-worker-port=0)

run=
stop_ray() {
    kill "${steps[@]}" 2> /dev/null
    wait "${steps[@]}" 2> /dev/null
    srun --overlap --nodes="${#nodes[@]}" --ntasks="${#nodes[@]}" rm -rf "$folder"
}
ending=
requeue=
on_term() {
    ending=yes
    # of a job that was cancelled SLURM says so; before the time limit and on pre-emption it is still running
    if scontrol show job -o "$SLURM_JOB_ID" | grep -q 'JobState=RUNNING'; then
        requeue=yes
        echo "SLURM asks this job to end: the run saves, and the job goes back into the queue"
    else
        echo "this job was cancelled: the run saves what it can before SLURM kills it"
    fi
    [ -n "$run" ] && kill -TERM "$run"
}
trap on_term TERM

echo "job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)): Ray on ${nodes[*]}, head $address:$port"
# a lost node is noticed within about 7 s instead of 65 s
srun --overlap --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" ray start --head "${options[@]}" \
    --node-ip-address="$address" --port="$port" --dashboard-port=$((16000 + number)) \
    --ray-client-server-port=$((10000 + number)) $(agent_ports $number) --temp-dir="$folder" \
    --system-config='{"health_check_period_ms":1000,"health_check_timeout_ms":1000,"health_check_failure_threshold":3}' \
    > "$SLURM_JOB_NAME-$SLURM_JOB_ID.ray" 2>&1 &
steps=($!)

# waits until the head answers and so many nodes have joined
wait_for_nodes() {
    python - "$address:$port" "$1" "$start_s" "${steps[@]}" << 'P'
import socket, sys, time
address, nodes, end = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
host, port = address.rsplit(":", 1)
def check_steps():
    for step in sys.argv[4:]:
        try:
            if open(f"/proc/{step}/stat").read().rpartition(")")[2].split()[0] != "Z":
                continue
        except OSError:
            pass
        sys.exit("Ray did not start on a node; see the .ray file of this job")
while time.monotonic() < end:
    check_steps()
    try:
        socket.create_connection((host, int(port)), 2).close()
        break
    except OSError:
        time.sleep(1)
else:
    sys.exit(f"the head of Ray does not answer at {address}; see the .ray file of this job")
import ray
while time.monotonic() < end:
    check_steps()
    try:
        ray.init(address=address, log_to_driver=False, logging_level="critical")
        alive = sum(node["Alive"] for node in ray.nodes())
        ray.shutdown()
        if alive >= nodes:
            sys.exit(0)
        print(f"{alive} of {nodes} nodes", flush=True)
    except Exception as error:
        last = str(error).strip().splitlines()[-1:]
        print(f"waiting for Ray: {last}", flush=True)
    time.sleep(2)
sys.exit(f"not all of {nodes} nodes joined Ray; see the .ray file of this job")
P
}
wait_for_nodes 1 || { stop_ray; exit 1; }
if [ ${#nodes[@]} -gt 1 ]; then
    others=$(IFS=,; echo "${nodes[*]:1}")
    srun --overlap --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --nodelist="$others" \
        ray start "${options[@]}" $(agent_ports $((number + 1))) --address="$address:$port" >> "$SLURM_JOB_NAME-$SLURM_JOB_ID.ray" 2>&1 &
    steps+=($!)
    wait_for_nodes ${#nodes[@]} || { stop_ray; exit 1; }
fi

code=0
if [ -z "$ending" ]; then
    bloomery run "$@" cluster.launcher=ray cluster.address="$address:$port" &
    run=$!
    wait "$run"
    code=$?
    while kill -0 "$run" 2> /dev/null; do wait "$run"; code=$?; done # a signal ends `wait`, not the run
fi
stop_ray
if [ -n "$requeue" ]; then
    scontrol requeue "$SLURM_JOB_ID"
    sleep 60 # until SLURM ends this script
fi
exit $code

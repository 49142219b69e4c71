#!/bin/sh
# An external reduce in plain shell: the longest value of each key. The pairs come sorted by key.
export LC_ALL=C

# The next number, as four bytes, the lowest first; nothing at the end of the input.
read_u32() {
    head -c 4 | od -An -tu1 | {
        read -r a b c d && echo $((a + 256 * (b + 256 * (c + 256 * d))))
    }
}

write_bytes() {
    n=${#1}
    printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $((n % 256)) $((n / 256 % 256)) $((n / 65536 % 256)) $((n >> 24)))"
    printf %s "$1"
}

give_out() {
    printf '\001\000\000\000' # a list of one pair
    write_bytes "$1"
    write_bytes "$2"
}

read -r size # of the parameters, which it has no use for
head -c "$size" >/dev/null

unset key
while size=$(read_u32) && [ -n "$size" ]; do
    next=$(head -c "$size")
    value=$(head -c "$(read_u32)")
    if [ "$next" != "${key-$next}" ]; then
        give_out "$key" "$longest"
        longest=
    fi
    key=$next
    [ ${#value} -gt ${#longest} ] && longest=$value
done
[ -n "${key+is set}" ] && give_out "$key" "$longest"
echo "that was all" >&2 # goes to the log of the attempt

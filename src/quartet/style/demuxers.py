"""Formats in which a video is read: those that keep all of it in the file itself.

FFmpeg chooses a demuxer by content. Some open other files or addresses that the file names:
playlists and manifests (`hls`, `dash`, `imf`), lists (`concat`), session descriptions (`sdp`),
sequences of pictures (`image2`), chunks beside the file (`mlv`, `vobsub`). Others read devices
(`x11grab`, `lavfi`). A file that somebody uploads must not choose one of these.
"""

from __future__ import annotations

_CONTAINERS = """
    asf avi dhav dv flv gxf ivf ivr kux live_flv lxf matroska mov mpeg mpegts mtv mxf mxg nsv nut
    nuv ogg pva rm ser simbiosis_imx swf ty wtv
"""

_RAW_STREAMS = """
    av1 avs2 avs3 cavsvideo cine dirac dnxhd evc h261 h263 h264 hevc ingenient ipu iv8 m4v mjpeg
    mjpeg_2000 mpegvideo mpjpeg obu r3d smjpeg vc1 vc1test vvc yuv4mpegpipe
"""

_ANIMATIONS = "apng filmstrip flic gif iff jpegxl_anim"

_GAMES = """
    4xm anm argo_brp avs bethsoftvid bfi bink c93 cdxl dfa dsicin dxa ea film_cpk frm gdv hnm hxvs
    idcin ipmovie jv lmlm4 luodat lvf mgsts mm mods moflex msnwctcp mv mvi nc paf pdv pmp psxstr
    rl2 roq rpl sdr2 sga siff smk smush svs thp tiertexseq tmv usm vividas vivo vmd wc3movie wsvqa
    wve xmv yop
"""

_SOUND = "aac flac mp3 wav"
"""Read so that the message states that they contain no video."""

DEMUXERS = ",".join(" ".join((_CONTAINERS, _RAW_STREAMS, _ANIMATIONS, _GAMES, _SOUND)).split())
"""FFmpeg's names of the formats, separated by commas."""

"""How close two sets of images are, by TensorFlow's own PSNR and SSIM."""

import numpy as np
import tensorflow.compat.v1 as tf


def psnr_and_ssim(images: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare images [N, S, S, 3] in [0, 255] one by one with as many references.

    Images are clipped to [0, 255], as a picture of them is.

    Returns:
        PSNR [N] in dB, and SSIM [N] (Wang et al., 2004: an 11 x 11 Gaussian window, sigma 1.5).
    """
    with tf.Graph().as_default(), tf.Session() as session:
        a = tf.constant(np.clip(images, 0, 255), tf.float32)
        b = tf.constant(references, tf.float32)
        psnr, ssim = session.run([tf.image.psnr(a, b, 255.0), tf.image.ssim(a, b, 255.0)])
        return psnr, ssim
